import type { UdpAddress } from '../native/index.ts';
import {
  compactNtp,
  parseRtcp,
  type ReportBlock,
  type RtcpPacket,
  SRTP_AUTH,
  SRTP_REPLAY,
  writeRtcp,
} from '../rtp/index.ts';
import { sameHost } from './address-rule.ts';
import { FIRST_ROLLOVER } from './numbering.ts';
import { hearReports } from './peer-reports.ts';
import type { RelayPort } from './relay.ts';
import type { Stream } from './stream.ts';

/** So many SRTCP indices are told to the twin ahead: an RTCP packet every 5 s per source, so minutes between two tellings. */
export const RTCP_RESERVATION = 100;

const rewritten = Buffer.alloc(2048 + 128);

/**
 * RTCP of a peer, told to those who hear it and to the one it hears. Both legs number for themselves, so SSRCs, timestamps and highest sequence
 * numbers are translated; NTP times and what is reckoned from them (LSR, DLSR) pass, so that round trips are measured end to end.
 * The CNAME is replaced, as it may hold an inner address. BYE stays here: the leg outlives its source, and the
 * end of a call is signalling's. APP and feedback carry what we cannot translate and stay here too, XR is read (`peer-reports.ts`).
 */
export function relayRtcp(
  port: RelayPort,
  stream: Stream,
  packet: Buffer,
  received: number,
  from: UdpAddress,
  nowMs: number,
): void {
  const { counts } = stream;
  let length = received;
  if ((stream.spec.rtcpMux ? stream.rtp : stream.rtcp).keepsOut(from)) {
    counts.refusedStranger++;
    return;
  }
  if (stream.secured) {
    length = stream.receiver === undefined ? SRTP_AUTH : stream.receiver.unprotectRtcp(packet, received);
    if (length < 0) {
      if (length === SRTP_AUTH) counts.refusedAuth++;
      else if (length === SRTP_REPLAY) counts.refusedReplay++;
      else counts.refusedMalformed++;
      return;
    }
  }
  const parsed = parseRtcp(packet, length);
  if (!parsed.ok) {
    counts.refusedMalformed++;
    return;
  }
  if (!acceptsRtcp(port, stream, from, nowMs)) {
    counts.refusedStranger++;
    return;
  }
  stream.lastHeardMs = nowMs;
  hearReports(stream, parsed.value, nowMs);
  for (const sink of stream.sinks) tell(port, stream, sink, parsed.value, nowMs);
  const heard = stream.source;
  if (heard !== undefined && !stream.sinks.includes(heard)) tell(port, stream, heard, parsed.value, nowMs);
}

function acceptsRtcp(port: RelayPort, stream: Stream, from: UdpAddress, nowMs: number): boolean {
  if (stream.spec.rtcpMux) {
    if (stream.rtp.confirmed) {
      if (stream.rtp.address.equals(from)) {
        stream.rtp.lastHeardMs = nowMs;
        return true;
      }
      return stream.secured;
    }
    // RTCP confirms an address as RTP does: a held peer sends nothing else.
    if (
      stream.secured ? stream.rtp.follow(from, nowMs) : stream.rtp.known && stream.rtp.address.equals(from)
    ) {
      if (!stream.secured) stream.rtp.follow(from, nowMs);
      port.note(stream);
    }
    return stream.rtp.confirmed;
  }
  if (stream.secured) {
    if (stream.rtcp.follow(from, nowMs)) port.note(stream);
    confirmRtp(port, stream, from, nowMs);
    return true;
  }
  if (stream.rtcp.confirmed && stream.rtcp.address.equals(from)) {
    stream.rtcp.lastHeardMs = nowMs;
    return true;
  }
  // Plain RTCP is believed from the host whose RTP was learned, or from exactly where it was signalled.
  const believable = stream.rtp.confirmed
    ? sameHost(stream.rtp.address, from)
    : stream.rtcp.known && stream.rtcp.address.equals(from);
  if (!believable || from.unsendable) return false;
  if (stream.rtcp.follow(from, nowMs)) port.note(stream);
  confirmRtp(port, stream, from, nowMs);
  return true;
}

/** A peer that only listens confirms its RTP address by RTCP from the same host. */
function confirmRtp(port: RelayPort, stream: Stream, from: UdpAddress, nowMs: number): void {
  if (stream.rtp.confirmed || !stream.rtp.known || !sameHost(stream.rtp.address, from)) return;
  stream.rtp.follow(stream.rtp.address, nowMs);
  port.note(stream);
}

function tell(
  port: RelayPort,
  stream: Stream,
  to: Stream,
  packets: readonly RtcpPacket[],
  nowMs: number,
): void {
  if (maySendRtcp(to, nowMs)) sendRtcp(port, to, translate(stream, to, packets), nowMs);
}

/** A fax by T.38 has none. */
export const maySendRtcp = (to: Stream, nowMs: number): boolean =>
  !to.udptl &&
  (!to.secured || to.sender !== undefined) &&
  (to.spec.rtcpMux ? to.rtp : to.rtcp).maySend(nowMs);

export type WritableRtcp = Exclude<RtcpPacket, { type: 'other' }>;

/** Sends a compound to the peer, where `maySendRtcp`; nothing when there is nothing in it. */
export function sendRtcp(port: RelayPort, to: Stream, packets: readonly WritableRtcp[], nowMs: number): void {
  if (packets.length === 0) return;
  let length = writeRtcp(rewritten, packets);
  if (length < 0) return;
  if (to.sender !== undefined) {
    if (to.sender.rtcpIndex >= to.rtcpReserved) {
      const before = to.rtcpReserved;
      to.rtcpReserved = to.sender.rtcpIndex + RTCP_RESERVATION;
      if (!port.commit(to)) {
        to.rtcpReserved = before;
        return;
      }
    }
    length = to.sender.protectRtcp(rewritten, length);
    if (length < 0) return;
  }
  for (const packet of packets) noteSaid(to, packet, nowMs);
  port.send(to, !to.spec.rtcpMux, rewritten, length, (to.spec.rtcpMux ? to.rtp : to.rtcp).address, false);
}

function noteSaid({ times }: Stream, packet: WritableRtcp, nowMs: number): void {
  if (packet.type !== 'sr' && packet.type !== 'rr') return;
  if (packet.reports.length > 0) times.saidBlockMs = nowMs;
  if (packet.type === 'rr') return;
  times.saidSrMs = nowMs;
  times.sent(compactNtp({ seconds: packet.ntpSec, fraction: packet.ntpFraction }), nowMs);
}

function translate(stream: Stream, to: Stream, packets: readonly RtcpPacket[]): WritableRtcp[] {
  const feeds = to.feed.anchored && to.feed.source === stream.id;
  const out: WritableRtcp[] = [];
  for (const packet of packets) {
    switch (packet.type) {
      case 'sr':
        if (feeds && packet.ssrc === to.feed.sourceSsrc)
          out.push({
            ...packet,
            ssrc: to.ssrc,
            rtpTimestamp: (packet.rtpTimestamp + to.feed.timestampOffset) >>> 0,
            reports: reportsFor(stream, to, packet.reports),
          });
        else if (stream.source === to)
          out.push({ type: 'rr', ssrc: to.ssrc, reports: reportsFor(stream, to, packet.reports) });
        break;
      case 'rr':
        out.push({ type: 'rr', ssrc: to.ssrc, reports: reportsFor(stream, to, packet.reports) });
        break;
      case 'sdes':
        if (packet.chunks.length > 0)
          out.push({ type: 'sdes', chunks: [{ ssrc: to.ssrc, items: [{ type: 1, text: cname(to) }] }] });
        break;
      case 'bye':
      case 'xr':
      case 'other':
        break;
    }
  }
  // Of what is made here there are reports of our own, and an empty one of the other side would be between them.
  const isOwn = to.feed.anchored && to.feed.source !== stream.id;
  const says = out.some(
    (each) => each.type === 'sr' || (each.type === 'rr' && !(isOwn && each.reports.length === 0)),
  );
  return says ? out : [];
}

/** What the peer reports of our stream is about what `to` sends us, one offset further back. */
function reportsFor(stream: Stream, to: Stream, reports: readonly ReportBlock[]): ReportBlock[] {
  // What is made here is numbered here: no packet of `to` is reported on.
  if (stream.source !== to || to.arrival.ssrc < 0 || stream.feed.source !== to.id) return [];
  const offset = stream.feed.indexOffset + (to.secured ? 0 : FIRST_ROLLOVER);
  return reports
    .filter((report) => report.ssrc === stream.ssrc)
    .map((report) => ({
      ...report,
      ssrc: to.arrival.ssrc,
      highestSequence: modulo32(report.highestSequence - offset),
    }));
}

const modulo32 = (value: number): number => ((value % 2 ** 32) + 2 ** 32) % 2 ** 32;
/** RFC 7022: short-term, of chance, the same for all of one stream. */
export const cname = (to: Stream): string => `tl-${to.ssrc.toString(16).padStart(8, '0')}`;
