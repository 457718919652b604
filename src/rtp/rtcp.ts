import { failed, ok, type Result } from '../base/index.ts';
import { readUint32, writeUint32 } from './packet.ts';
import { readXrBlocks, sizeOfXr, type VoipMetrics, writeXr, XR } from './rtcp-xr.ts';

/** RTCP (RFC 3550 §6.4 to §6.7) as plain data. It comes every few seconds, so objects cost nothing that matters. */
export type RtcpPacket =
  | {
      readonly type: 'sr';
      readonly ssrc: number;
      /** NTP time: seconds since 1900 modulo 2^32, and 2^-32 s. */
      readonly ntpSec: number;
      readonly ntpFraction: number;
      readonly rtpTimestamp: number;
      readonly packetCount: number;
      readonly octetCount: number;
      readonly reports: readonly ReportBlock[];
    }
  | { readonly type: 'rr'; readonly ssrc: number; readonly reports: readonly ReportBlock[] }
  | { readonly type: 'sdes'; readonly chunks: readonly SdesChunk[] }
  | { readonly type: 'bye'; readonly ssrcs: readonly number[]; readonly reason?: string }
  /** RFC 3611: of its blocks the VoIP metrics alone. */
  | { readonly type: 'xr'; readonly ssrc: number; readonly voip: readonly VoipMetrics[] }
  /** APP, feedback …: where it lies in the compound, header included. */
  | { readonly type: 'other'; readonly packetType: number; readonly start: number; readonly end: number };

export interface ReportBlock {
  readonly ssrc: number;
  /** Of 256. */
  readonly fractionLost: number;
  /** Signed, 24 bits: duplicates may make it negative. */
  readonly cumulativeLost: number;
  /** Cycles × 65536 + sequence, modulo 2^32. */
  readonly highestSequence: number;
  /** In units of the RTP clock. */
  readonly jitter: number;
  /** The middle 32 bits of the NTP time of the last SR; 0: none came. */
  readonly lastSr: number;
  /** Units of 1/65536 s. */
  readonly delaySinceLastSr: number;
}

export interface SdesChunk {
  readonly ssrc: number;
  /** Type 1 is the CNAME. Texts are byte strings. */
  readonly items: readonly { readonly type: number; readonly text: string }[];
}

const SR = 200;
const RR = 201;
const SDES = 202;
const BYE = 203;

/**
 * Splits a compound packet. Refuses what RFC 3550 Appendix A.2 refuses: another version, lengths that do not add up, padding
 * elsewhere than at the end. A first packet that is no report is let pass (RFC 5506, and phones that send lone SDES).
 */
export function parseRtcp(compound: Uint8Array, length: number): Result<RtcpPacket[], string> {
  if (length > compound.length || length < 4) return failed('too short');
  const packets: RtcpPacket[] = [];
  let at = 0;
  while (at < length) {
    if (at + 4 > length) return failed(`octet ${at}: a header is cut off`);
    if (compound[at]! >> 6 !== 2) return failed(`octet ${at}: version ${compound[at]! >> 6} instead of 2`);
    const end = at + 4 + 4 * ((compound[at + 2]! << 8) | compound[at + 3]!);
    if (end > length) return failed(`octet ${at}: the packet is longer than the datagram`);
    let contentEnd = end;
    if ((compound[at]! & 0x20) !== 0) {
      const padding = compound[end - 1]!;
      if (end !== length || padding === 0 || padding > end - at - 4)
        return failed(`octet ${at}: bad padding`);
      contentEnd -= padding;
    }
    const packet = readPacket(compound, at, contentEnd);
    if (packet === undefined) return failed(`octet ${at}: a packet of type ${compound[at + 1]} is cut off`);
    packets.push(packet);
    at = end;
  }
  return ok(packets);
}

function readPacket(bytes: Uint8Array, at: number, end: number): RtcpPacket | undefined {
  const count = bytes[at]! & 31;
  const packetType = bytes[at + 1]!;
  switch (packetType) {
    case SR: {
      const reports = readReports(bytes, at + 28, end, count);
      if (at + 28 > end || !reports) return undefined;
      return {
        type: 'sr',
        ssrc: readUint32(bytes, at + 4),
        ntpSec: readUint32(bytes, at + 8),
        ntpFraction: readUint32(bytes, at + 12),
        rtpTimestamp: readUint32(bytes, at + 16),
        packetCount: readUint32(bytes, at + 20),
        octetCount: readUint32(bytes, at + 24),
        reports,
      };
    }
    case RR: {
      const reports = readReports(bytes, at + 8, end, count);
      if (at + 8 > end || !reports) return undefined;
      return { type: 'rr', ssrc: readUint32(bytes, at + 4), reports };
    }
    case SDES: {
      const chunks = readChunks(bytes, at + 4, end, count);
      return chunks && { type: 'sdes', chunks };
    }
    case BYE: {
      const afterSources = at + 4 + 4 * count;
      if (afterSources > end) return undefined;
      const ssrcs = Array.from({ length: count }, (_, i) => readUint32(bytes, at + 4 + 4 * i));
      const reasonLength = afterSources < end ? bytes[afterSources]! : 0;
      if (afterSources + 1 + reasonLength > end && reasonLength > 0) return undefined;
      if (reasonLength === 0) return { type: 'bye', ssrcs };
      return { type: 'bye', ssrcs, reason: readText(bytes, afterSources + 1, reasonLength) };
    }
    case XR: {
      if (at + 8 > end) return undefined;
      return { type: 'xr', ssrc: readUint32(bytes, at + 4), voip: readXrBlocks(bytes, at + 8, end) };
    }
    default:
      return { type: 'other', packetType, start: at, end };
  }
}

function readReports(bytes: Uint8Array, from: number, end: number, count: number): ReportBlock[] | undefined {
  if (from + 24 * count > end) return undefined;
  const reports: ReportBlock[] = [];
  for (let at = from; reports.length < count; at += 24) {
    reports.push({
      ssrc: readUint32(bytes, at),
      fractionLost: bytes[at + 4]!,
      cumulativeLost: (readUint32(bytes, at + 4) << 8) >> 8,
      highestSequence: readUint32(bytes, at + 8),
      jitter: readUint32(bytes, at + 12),
      lastSr: readUint32(bytes, at + 16),
      delaySinceLastSr: readUint32(bytes, at + 20),
    });
  }
  return reports;
}

/** §6.5: each chunk ends with at least one zero octet and is filled up to four. */
function readChunks(bytes: Uint8Array, from: number, end: number, count: number): SdesChunk[] | undefined {
  const chunks: SdesChunk[] = [];
  let at = from;
  while (chunks.length < count) {
    if (at + 4 > end) return undefined;
    const ssrc = readUint32(bytes, at);
    const items: { type: number; text: string }[] = [];
    const start = at;
    at += 4;
    while (at < end && bytes[at] !== 0) {
      const itemLength = at + 1 < end ? bytes[at + 1]! : end;
      if (at + 2 + itemLength > end) return undefined;
      items.push({ type: bytes[at]!, text: readText(bytes, at + 2, itemLength) });
      at += 2 + itemLength;
    }
    at = start + 4 * (Math.floor((at - start) / 4) + 1);
    chunks.push({ ssrc, items });
  }
  return chunks;
}

const readText = (bytes: Uint8Array, at: number, length: number): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset + at, length).toString('latin1');

/** Writes a compound packet from the start of `into`; returns its length, or -1 when it does not fit or is not writable. */
export function writeRtcp(
  into: Uint8Array,
  packets: readonly Exclude<RtcpPacket, { type: 'other' }>[],
): number {
  let at = 0;
  for (const packet of packets) {
    const needed = 4 * Math.ceil(sizeOf(packet) / 4);
    const count = countOf(packet);
    if (count > 31 || at + needed > into.length) return -1;
    into.fill(0, at, at + needed);
    into[at] = 0x80 | count;
    into[at + 1] = { sr: SR, rr: RR, sdes: SDES, bye: BYE, xr: XR }[packet.type];
    const words = needed / 4 - 1;
    into[at + 2] = words >>> 8;
    into[at + 3] = words;
    writeBody(into, at + 4, packet);
    at += needed;
  }
  return at;
}

type Writable = Exclude<RtcpPacket, { type: 'other' }>;

function countOf(packet: Writable): number {
  if (packet.type === 'xr') return 0;
  if (packet.type === 'sdes') return packet.chunks.length;
  return packet.type === 'bye' ? packet.ssrcs.length : packet.reports.length;
}

function sizeOf(packet: Writable): number {
  switch (packet.type) {
    case 'sr':
      return 28 + 24 * packet.reports.length;
    case 'rr':
      return 8 + 24 * packet.reports.length;
    case 'sdes':
      return packet.chunks.reduce((sum, chunk) => sum + chunkSize(chunk), 4);
    case 'bye':
      return 4 + 4 * packet.ssrcs.length + (packet.reason ? 1 + Math.min(255, packet.reason.length) : 0);
    case 'xr':
      return sizeOfXr(packet.voip);
  }
}

function chunkSize(chunk: SdesChunk): number {
  const items = chunk.items.reduce((sum, item) => sum + 2 + Math.min(255, item.text.length), 0);
  return 4 * (Math.floor((4 + items) / 4) + 1);
}

function writeBody(into: Uint8Array, from: number, packet: Writable): void {
  let at = from;
  switch (packet.type) {
    case 'sr':
      writeUint32(into, at, packet.ssrc);
      writeUint32(into, at + 4, packet.ntpSec);
      writeUint32(into, at + 8, packet.ntpFraction);
      writeUint32(into, at + 12, packet.rtpTimestamp);
      writeUint32(into, at + 16, packet.packetCount);
      writeUint32(into, at + 20, packet.octetCount);
      writeReports(into, at + 24, packet.reports);
      break;
    case 'rr':
      writeUint32(into, at, packet.ssrc);
      writeReports(into, at + 4, packet.reports);
      break;
    case 'sdes':
      for (const chunk of packet.chunks) {
        writeUint32(into, at, chunk.ssrc);
        let item = at + 4;
        for (const { type, text } of chunk.items) {
          into[item] = type;
          into[item + 1] = writeText(into, item + 2, text);
          item += 2 + into[item + 1]!;
        }
        at += chunkSize(chunk);
      }
      break;
    case 'bye':
      for (const ssrc of packet.ssrcs) {
        writeUint32(into, at, ssrc);
        at += 4;
      }
      if (packet.reason) into[at] = writeText(into, at + 1, packet.reason);
      break;
    case 'xr':
      writeXr(into, at, packet.ssrc, packet.voip);
      break;
  }
}

function writeReports(into: Uint8Array, from: number, reports: readonly ReportBlock[]): void {
  let at = from;
  for (const report of reports) {
    writeUint32(into, at, report.ssrc);
    const lost = Math.max(-0x800000, Math.min(0x7fffff, report.cumulativeLost));
    writeUint32(into, at + 4, (report.fractionLost << 24) | (lost & 0xffffff));
    writeUint32(into, at + 8, report.highestSequence);
    writeUint32(into, at + 12, report.jitter);
    writeUint32(into, at + 16, report.lastSr);
    writeUint32(into, at + 20, report.delaySinceLastSr);
    at += 24;
  }
}

function writeText(into: Uint8Array, at: number, text: string): number {
  const length = Math.min(255, text.length);
  for (let i = 0; i < length; i++) into[at + i] = text.charCodeAt(i);
  return length;
}
