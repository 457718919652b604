import { formatAddress, parseAddress } from '../native/index.ts';
import type { Remote } from './address-rule.ts';
import { applyDtlsRecord } from './dtls-record.ts';
import type { DtlsRecord } from './dtls-state.ts';
import { applyIceRecord, type IceRecord, iceRecordOf } from './ice-record.ts';
import type { Arrival, Feed } from './numbering.ts';
import type { StreamSpec } from './protocol.ts';
import { applyQuality, type Quality, qualityRecordOf, totalsOf } from './quality.ts';
import type { Counts, Local, PlayState, Stream } from './stream.ts';

/** A stream as plain data: what the twin needs to go on with it, whole. */
export interface StreamRecord {
  readonly v: 1;
  readonly spec: StreamSpec;
  readonly owner: string;
  readonly local: Local;
  readonly ssrc: number;
  readonly state: StreamState;
}

/** What changes while packets flow. */
export interface StreamState {
  readonly rtp: RemoteState;
  readonly rtcp: RemoteState;
  readonly arrival: Arrival;
  readonly feed: Feed;
  readonly rtcpReserved: number;
  readonly ice?: IceRecord;
  readonly dtls?: DtlsRecord;
  readonly playing?: PlayState;
  readonly counts: Counts;
  readonly lost: number;
  readonly worstJitterMs: number;
  readonly lastHeardMs: number;
  readonly quality?: Quality;
}

export interface RemoteState {
  readonly address?: string;
  readonly port: number;
  readonly confirmed: boolean;
}

/**
 * The least that brings a stand-by up to date, said once a second for each stream that moved:
 * [id, incoming SSRC, highest incoming index, highest sent index, its timestamp, when it left, counts …]
 */
export type Progress = readonly [
  id: string,
  arrivalSsrc: number,
  arrivalHighest: number,
  sentIndex: number,
  sentTimestamp: number,
  sentAtMs: number,
  lost: number,
  worstJitterMs: number,
  lastHeardMs: number,
  counts: Counts,
  /** Where it has changed. */
  quality?: Quality,
];

export const recordOf = (stream: Stream): StreamRecord => ({
  v: 1,
  spec: stream.spec,
  owner: stream.owner,
  local: stream.local,
  ssrc: stream.ssrc,
  state: stateOf(stream),
});

export const stateOf = (stream: Stream): StreamState => stateWith(stream, qualityRecordOf(stream));

const stateWith = (stream: Stream, quality: Quality): StreamState => ({
  rtp: remoteState(stream.rtp),
  rtcp: remoteState(stream.rtcp),
  arrival: stream.arrival,
  feed: stream.feed,
  rtcpReserved: stream.rtcpReserved,
  ...(stream.ice && { ice: iceRecordOf(stream.ice) }),
  ...(stream.spec.dtls && { dtls: stream.association }),
  ...(stream.playing && { playing: stream.playing }),
  counts: stream.counts,
  lost: quality.before.lost,
  worstJitterMs: quality.before.worstJitterMs,
  lastHeardMs: stream.lastHeardMs,
  quality,
});

/** To be said: `qualityChanged` is no more. */
export function progressOf(stream: Stream): Progress {
  const quality = stream.qualityChanged ? qualityRecordOf(stream) : undefined;
  const { lost, worstJitterMs } = quality?.before ?? totalsOf(stream);
  stream.qualityChanged = false;
  const progress = [
    stream.id,
    stream.arrival.ssrc,
    stream.arrival.highest,
    stream.feed.sentIndex,
    stream.feed.sentTimestamp,
    stream.feed.sentAtMs,
    lost,
    worstJitterMs,
    stream.lastHeardMs,
    stream.counts,
  ] as const;
  return quality === undefined ? progress : [...progress, quality];
}

/** Puts a state into a stand-by's stream. */
export function applyState(stream: Stream, state: StreamState): void {
  if (state.dtls !== undefined) applyDtlsRecord(stream, state.dtls);
  applyRemote(stream.rtp, state.rtp);
  applyRemote(stream.rtcp, state.rtcp);
  Object.assign(stream.arrival, state.arrival);
  Object.assign(stream.feed, state.feed);
  Object.assign(stream.counts, state.counts);
  stream.rtcpReserved = state.rtcpReserved;
  if (stream.ice !== undefined && state.ice !== undefined)
    applyIceRecord(stream.ice, state.ice, stream.lastHeardMs);
  stream.playing = state.playing;
  applyQuality(stream, state.quality, state.lost, state.worstJitterMs);
  stream.lastHeardMs = state.lastHeardMs;
}

export function applyProgress(stream: Stream, progress: Progress): void {
  const [, ssrc, highest, sentIndex, sentTimestamp, sentAtMs, lost, jitterMs, lastHeardMs, counts, quality] =
    progress;
  if (stream.arrival.ssrc === ssrc) stream.arrival.highest = highest;
  stream.feed.sentIndex = sentIndex;
  stream.feed.sentTimestamp = sentTimestamp;
  stream.feed.sentAtMs = sentAtMs;
  applyQuality(stream, quality, lost, jitterMs);
  stream.lastHeardMs = lastHeardMs;
  Object.assign(stream.counts, counts);
}

function remoteState(remote: Remote): RemoteState {
  if (!remote.known) return { port: 0, confirmed: false };
  return { address: formatAddress(remote.address), port: remote.address.port, confirmed: remote.confirmed };
}

function applyRemote(remote: Remote, state: RemoteState): void {
  const address = state.address === undefined ? undefined : parseAddress(state.address, state.port);
  remote.known = address !== undefined;
  remote.confirmed = remote.known && state.confirmed;
  if (address !== undefined) remote.address.copyFrom(address);
}
