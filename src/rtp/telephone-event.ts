import { timestampDistance } from './packet.ts';

/** Keys by event code (RFC 4733 §3.2): 0 to 15, and 16, the hook flash, as `!`. */
const DIGITS = '0123456789*#ABCD!';

export interface DtmfEvent {
  readonly digit: string;
  readonly durationMs: number;
}

/** The event being received on a stream, if any: plain data, JSON. */
export interface TelephoneEventState {
  /** -1: none is going on. */
  code: number;
  /** RTP timestamp of the event's (or its current segment's) start. */
  timestamp: number;
  /** Of the segment, in units of the RTP clock. */
  duration: number;
  /** Of the segments before it: an event longer than 16 bits of duration goes on under a new timestamp (§2.5.1.3). */
  durationBefore: number;
  lastPacketMs: number;
  /** Start of the event reported last: its further end packets and stragglers are known by it; -1: none. */
  reported: number;
}

/** A sender repeats an event every 50 ms at the slowest; after this silence its end packets are lost for good. */
export const LOST_END_MS = 250;
/** Packets of an event already reported may come this late; an older timestamp after that is another source's numbering. */
const STRAGGLER_MS = 1000;
const LONGEST_SEGMENT = 0xffff;

export const newTelephoneEvents = (): TelephoneEventState => ({
  code: -1,
  timestamp: 0,
  duration: 0,
  durationBefore: 0,
  lastPacketMs: 0,
  reported: -1,
});

/**
 * Takes a packet of payload format telephone-event, its payload at [start, end). Gives an event when it is over: at the
 * first of its end packets, or at the next event when all of those were lost. An event whose packets came only in part
 * counts with the duration known.
 */
export function receiveTelephoneEvent(
  state: TelephoneEventState,
  packet: Uint8Array,
  start: number,
  end: number,
  timestamp: number,
  clockRateHz: number,
  nowMs: number,
): DtmfEvent | undefined {
  if (end - start < 4 || end > packet.length) return undefined;
  const code = packet[start]!;
  if (code >= DIGITS.length) return undefined;
  const isEnd = (packet[start + 1]! & 0x80) !== 0;
  const duration = (packet[start + 2]! << 8) | packet[start + 3]!;
  const quietMs = nowMs - state.lastPacketMs;
  if (state.reported >= 0) {
    const ahead = timestampDistance(state.reported, timestamp);
    if (ahead === 0 || (ahead < 0 && quietMs < STRAGGLER_MS)) return undefined;
  }

  let over: DtmfEvent | undefined;
  if (state.code >= 0) {
    const ahead = timestampDistance(state.timestamp, timestamp);
    if (ahead < 0 && quietMs < STRAGGLER_MS) return undefined;
    if (ahead !== 0) {
      if (
        code === state.code &&
        ahead === LONGEST_SEGMENT &&
        state.duration >= LONGEST_SEGMENT - clockRateHz / 10
      ) {
        state.durationBefore += LONGEST_SEGMENT;
        state.timestamp = timestamp;
        state.duration = 0;
      } else {
        over = finish(state, clockRateHz);
      }
    }
  }
  if (state.code < 0) {
    state.code = code;
    state.timestamp = timestamp;
    state.duration = 0;
    state.durationBefore = 0;
  }
  if (duration > state.duration) state.duration = duration;
  state.lastPacketMs = nowMs;
  // With an event given back because its end was lost, this packet's own end (a lone one) waits for its repetition.
  return isEnd && over === undefined ? finish(state, clockRateHz) : over;
}

/** Gives an event whose end packets never came, once nothing more of it has come for `LOST_END_MS`. */
export function expireTelephoneEvent(
  state: TelephoneEventState,
  clockRateHz: number,
  nowMs: number,
): DtmfEvent | undefined {
  if (state.code < 0 || nowMs - state.lastPacketMs < LOST_END_MS) return undefined;
  return finish(state, clockRateHz);
}

function finish(state: TelephoneEventState, clockRateHz: number): DtmfEvent {
  const units = state.durationBefore + state.duration;
  const event = { digit: DIGITS[state.code]!, durationMs: Math.round((units * 1000) / clockRateHz) };
  state.reported = state.timestamp;
  state.code = -1;
  return event;
}

/** The event code of a key, or -1. */
export const telephoneEventCode = (digit: string): number =>
  digit.length === 1 ? DIGITS.indexOf(digit.toUpperCase()) : -1;

/** Writes a payload of 4 octets at `at`; `duration` in units of the RTP clock, at most 65535. */
export function writeTelephoneEvent(
  packet: Uint8Array,
  at: number,
  code: number,
  isEnd: boolean,
  volumeDbm0: number,
  duration: number,
): number {
  if (at + 4 > packet.length) return -1;
  packet[at] = code;
  packet[at + 1] = (isEnd ? 0x80 : 0) | (Math.abs(volumeDbm0) & 0x3f);
  packet[at + 2] = duration >>> 8;
  packet[at + 3] = duration;
  return at + 4;
}
