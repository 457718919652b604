import { ok, type Result } from '../base/index.ts';
import { badFile, mark, type SoundFile, viewOf } from './file.ts';
import type { AudioProblem } from './problem.ts';

/** A packet of an Ogg stream. */
export interface OggPacket {
  readonly bytes: Uint8Array;
  /** Where its last page begins in the file. */
  readonly pageAt: number;
  /** Granule position of the page that it ends on, if it is the last one that ends there; else -1. */
  readonly granule: number;
  /** The stream ends with its page. */
  readonly last: boolean;
}

const HEADER_BYTES = 27;
const CONTINUED = 1;
const BEGINS = 2;
const ENDS = 4;

/** The packets of the first logical stream whose first packet begins with `magic`; other streams in the file are passed over. RFC 3533. */
export function readOgg(file: SoundFile, magic: string): Result<OggPacket[], AudioProblem> {
  const { bytes } = file;
  const view = viewOf(bytes);
  const packets: OggPacket[] = [];
  let serial: number | undefined;
  let sequence = 0;
  let open: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; ) {
    if (mark(bytes, at) !== 'OggS') return badFile(file, at, 'a page ("OggS")');
    if (at + HEADER_BYTES > bytes.length) return badFile(file, bytes.length, 'the rest of a page header');
    if (view.getUint8(at + 4) !== 0) return badFile(file, at + 4, 'version 0 of Ogg');
    const flags = view.getUint8(at + 5);
    const granule = Number(view.getBigInt64(at + 6, true));
    const stream = view.getUint32(at + 14, true);
    const segments = view.getUint8(at + 26);
    const table = at + HEADER_BYTES;
    let body = table + segments;
    let end = body;
    for (let i = 0; i < segments; i++) end += bytes[table + i] ?? 0;
    if (end > bytes.length) return badFile(file, bytes.length, `the rest of the page from octet ${at} on`);
    if (checksum(bytes, at, end) !== view.getUint32(at + 22, true))
      return badFile(file, at + 22, 'the checksum of the page');
    if (serial === undefined && (flags & BEGINS) !== 0) {
      const first = bytes.subarray(body, end);
      if (String.fromCharCode(...first.subarray(0, magic.length)) === magic) serial = stream;
    }
    if (stream !== serial) {
      at = end;
      continue;
    }
    if (view.getUint32(at + 18, true) !== sequence)
      return badFile(file, at + 18, `page ${sequence} of its stream`);
    sequence++;
    if (((flags & CONTINUED) !== 0) !== open.length > 0)
      return badFile(
        file,
        at + 5,
        open.length > 0 ? 'a page that continues a packet' : 'a page that begins a packet',
      );
    const before = packets.length;
    let start = body;
    for (let i = 0; i < segments; i++) {
      const length = bytes[table + i] as number;
      body += length;
      if (length === 255) continue;
      open.push(bytes.subarray(start, body));
      packets.push({ bytes: joined(open), pageAt: at, granule: -1, last: false });
      open = [];
      start = body;
    }
    if (start < body) open.push(bytes.subarray(start, body));
    if (packets.length > before)
      packets.push({ ...(packets.pop() as OggPacket), granule, last: (flags & ENDS) !== 0 });
    if ((flags & ENDS) !== 0) break;
    at = end;
  }
  if (serial === undefined) return badFile(file, 0, `a stream that begins with "${magic}"`);
  return ok(packets);
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  if (parts.length === 1) return parts[0] as Uint8Array;
  const whole = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** RFC 3533 §6: polynomial 0x04c11db7, nothing inverted. */
const CRC = Uint32Array.from({ length: 256 }, (_, index) => {
  let value = index << 24;
  for (let bit = 0; bit < 8; bit++) value = value & 0x8000_0000 ? (value << 1) ^ 0x04c1_1db7 : value << 1;
  return value >>> 0;
});

/** Of a page, its own four octets counted as zero. */
export function checksum(bytes: Uint8Array, from: number, to: number): number {
  let crc = 0;
  for (let i = from; i < to; i++) {
    const octet = i >= from + 22 && i < from + 26 ? 0 : (bytes[i] as number);
    crc = ((crc << 8) ^ (CRC[(crc >>> 24) ^ octet] as number)) >>> 0;
  }
  return crc;
}
