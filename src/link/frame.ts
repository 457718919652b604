import { failed, ok, type Result, TwinlineError } from '../base/index.ts';
import type { Frame } from './channel.ts';

/**
 * One frame on the wire, integers big-endian:
 *
 *     0  u32  length of all that follows          16  f64  deadline
 *     4  u8   version                             24  f64  epoch
 *     5  u8   type                                32  u32  length of data
 *     6  u8   lane                                36  u16  length of trace
 *     7  u8   flags                               38  u16  length of kind
 *     8  u32  sequence number in its lane         40  kind, trace, data (JSON), body
 *    12  u32  sequence number answered (reply, error)
 */
export const WIRE_VERSION = 1;
export const HEADER_BYTES = 40;
/** A SIP message is at most 64 KiB; what is larger than this belongs in the state or in a file. */
export const MAX_FRAME_BYTES = 1 << 20;
const SLAB_BYTES = 1 << 16;

export const FrameType = { hello: 1, data: 2, request: 3, reply: 4, error: 5, ack: 6, ping: 7 } as const;
export type FrameType = (typeof FrameType)[keyof typeof FrameType];

/** `link` carries what keeps the channel itself going: greeting, acknowledgements, pings. */
export const Lane = { normal: 0, priority: 1, link: 2 } as const;
export type Lane = (typeof Lane)[keyof typeof Lane];

const Flag = { data: 1, body: 2, deadline: 4, remaining: 8, epoch: 16, trace: 32 } as const;

/** What the channel adds to a frame. */
export interface Envelope {
  readonly type: FrameType;
  readonly lane: Lane;
  readonly sequence: number;
  readonly answers: number;
}

export interface WireFrame extends Envelope {
  readonly frame: Frame;
  /** `frame.deadlineMs` is a remaining time, not a moment of our clock. */
  readonly remaining: boolean;
  /** Its size on the wire. */
  readonly bytes: number;
}

/** Bytes ready to be written, in the order of encoding; consecutive frames share a chunk. */
export class FrameWriter {
  #slab = Buffer.allocUnsafeSlow(SLAB_BYTES);
  #from = 0;
  #to = 0;
  readonly #full: Uint8Array[] = [];

  #pendingBytes = 0;

  /** Encoded and not yet taken. */
  get pendingBytes(): number {
    return this.#pendingBytes;
  }

  /** The frame's size on the wire. Throws `link_frame_unfit` for what is too large or no JSON: a mistake of the sender. */
  write(envelope: Envelope, frame: Frame, remainingMs?: number): number {
    const json = toJson(frame);
    const { kind, body, trace } = frame;
    const bodyBytes = body === undefined ? 0 : body.length;
    const textLength = kind.length + (trace?.length ?? 0) + (json?.length ?? 0);
    if (textLength + bodyBytes > MAX_FRAME_BYTES) throw tooLarge(kind, textLength + bodyBytes);
    // Three bytes at most per UTF-16 unit.
    const bound = HEADER_BYTES + 3 * textLength + bodyBytes;
    if (bound > this.#slab.length - this.#to) this.#renew(bound);
    const slab = this.#slab;
    const start = this.#to;
    let at = start + HEADER_BYTES;
    const kindBytes = slab.write(kind, at);
    at += kindBytes;
    const traceBytes = trace === undefined ? 0 : slab.write(trace, at);
    at += traceBytes;
    const dataBytes = json === undefined ? 0 : slab.write(json, at);
    at += dataBytes;
    if (kindBytes > 0xffff || traceBytes > 0xffff || at + bodyBytes - start > MAX_FRAME_BYTES) {
      throw tooLarge(kind, at + bodyBytes - start);
    }
    if (body !== undefined) slab.set(body, at);
    at += bodyBytes;
    slab.writeUInt32BE(at - start - 4, start);
    slab[start + 4] = WIRE_VERSION;
    slab[start + 5] = envelope.type;
    slab[start + 6] = envelope.lane;
    slab[start + 7] = flagsOf(frame, json, remainingMs);
    slab.writeUInt32BE(envelope.sequence, start + 8);
    slab.writeUInt32BE(envelope.answers, start + 12);
    slab.writeDoubleBE(remainingMs ?? frame.deadlineMs ?? 0, start + 16);
    slab.writeDoubleBE(frame.epoch ?? 0, start + 24);
    slab.writeUInt32BE(dataBytes, start + 32);
    slab.writeUInt16BE(traceBytes, start + 36);
    slab.writeUInt16BE(kindBytes, start + 38);
    this.#to = at;
    this.#pendingBytes += at - start;
    return at - start;
  }

  /** The next bytes to write, ending with a whole frame. They stay valid: no part of a slab is written twice. */
  next(): Uint8Array | undefined {
    let chunk = this.#full.shift();
    if (chunk === undefined && this.#to > this.#from) {
      chunk = this.#slab.subarray(this.#from, this.#to);
      this.#from = this.#to;
    }
    this.#pendingBytes -= chunk?.length ?? 0;
    return chunk;
  }

  #renew(bound: number): void {
    if (this.#to > this.#from) this.#full.push(this.#slab.subarray(this.#from, this.#to));
    this.#slab = Buffer.allocUnsafeSlow(Math.max(SLAB_BYTES, bound));
    this.#from = 0;
    this.#to = 0;
  }
}

function flagsOf(frame: Frame, json: string | undefined, remainingMs: number | undefined): number {
  let flags = 0;
  if (json !== undefined) flags |= Flag.data;
  if (frame.body !== undefined) flags |= Flag.body;
  if (remainingMs !== undefined) flags |= Flag.deadline | Flag.remaining;
  else if (frame.deadlineMs !== undefined) flags |= Flag.deadline;
  if (frame.epoch !== undefined) flags |= Flag.epoch;
  if (frame.trace !== undefined) flags |= Flag.trace;
  return flags;
}

function tooLarge(kind: string, bytes: number): TwinlineError {
  return new TwinlineError(
    'link_frame_unfit',
    `frame "${kind.slice(0, 40)}" of ${bytes} bytes is larger than ${MAX_FRAME_BYTES}: send it in parts`,
  );
}

function toJson(frame: Frame): string | undefined {
  try {
    return frame.data === undefined ? undefined : JSON.stringify(frame.data);
  } catch (cause) {
    throw new TwinlineError('link_frame_unfit', `the data of frame "${frame.kind}" is no JSON`, { cause });
  }
}

/** Cuts a stream of bytes into frames. After an error the stream is lost: the channel must be closed. */
export class FrameReader {
  readonly #parts: Buffer[] = [];
  #held = 0;
  /** Bytes needed before the first held frame is whole (or its length can be read). */
  #needed = 4;

  /** The frames that `chunk` completes, or a sentence that says how the peer broke the protocol. Never throws. */
  push(chunk: Uint8Array): Result<WireFrame[], string> {
    const bytes = Buffer.isBuffer(chunk) ? chunk : Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length);
    if (this.#held + bytes.length < this.#needed) {
      this.#hold(bytes);
      return ok([]);
    }
    let stream = bytes;
    if (this.#held > 0) {
      this.#parts.push(bytes);
      stream = Buffer.concat(this.#parts);
      this.#parts.length = 0;
      this.#held = 0;
    }
    const frames: WireFrame[] = [];
    let at = 0;
    this.#needed = 4;
    while (stream.length - at >= 4) {
      const size = 4 + stream.readUInt32BE(at);
      if (size < HEADER_BYTES || size > MAX_FRAME_BYTES) return failed(`a frame of ${size} bytes`);
      if (stream.length - at < size) {
        this.#needed = size;
        break;
      }
      const frame = decode(stream, at, at + size);
      if (typeof frame === 'string') return failed(frame);
      frames.push(frame);
      at += size;
    }
    if (at < stream.length) this.#hold(stream.subarray(at));
    return ok(frames);
  }

  #hold(bytes: Buffer): void {
    this.#parts.push(bytes);
    this.#held += bytes.length;
  }
}

function decode(bytes: Buffer, start: number, end: number): WireFrame | string {
  const version = bytes[start + 4]!;
  if (version !== WIRE_VERSION) {
    return `the peer speaks link version ${version}, this process ${WIRE_VERSION}: run the same release on both sides`;
  }
  const type = bytes[start + 5]!;
  const lane = bytes[start + 6]!;
  const flags = bytes[start + 7]!;
  if (type < FrameType.hello || type > FrameType.ping) return `unknown frame type ${type}`;
  if (lane > Lane.link) return `unknown lane ${lane}`;
  const dataBytes = bytes.readUInt32BE(start + 32);
  const traceBytes = bytes.readUInt16BE(start + 36);
  const kindBytes = bytes.readUInt16BE(start + 38);
  const traceAt = start + HEADER_BYTES + kindBytes;
  const dataAt = traceAt + traceBytes;
  const bodyAt = dataAt + dataBytes;
  if (bodyAt > end) return `a frame whose parts (${bodyAt - start} bytes) exceed it (${end - start})`;
  const deadlineMs = bytes.readDoubleBE(start + 16);
  const epoch = bytes.readDoubleBE(start + 24);
  if (!Number.isFinite(deadlineMs) || !Number.isFinite(epoch)) return 'a deadline or epoch that is no number';
  let data: unknown;
  if (flags & Flag.data) {
    try {
      data = JSON.parse(bytes.toString('utf8', dataAt, bodyAt));
    } catch {
      return 'a frame whose data is no JSON';
    }
  }
  const frame: Mutable<Frame> = { kind: bytes.toString('utf8', start + HEADER_BYTES, traceAt), data };
  // A copy, because a slice would keep the whole chunk of the socket in memory as long as anyone holds the body.
  if (flags & Flag.body) frame.body = Uint8Array.prototype.slice.call(bytes, bodyAt, end);
  if (lane === Lane.priority) frame.lane = 'priority';
  if (flags & Flag.deadline) frame.deadlineMs = deadlineMs;
  if (flags & Flag.epoch) frame.epoch = epoch;
  if (flags & Flag.trace) frame.trace = bytes.toString('utf8', traceAt, dataAt);
  return {
    type: type as FrameType,
    lane: lane as Lane,
    sequence: bytes.readUInt32BE(start + 8),
    answers: bytes.readUInt32BE(start + 12),
    frame,
    remaining: (flags & Flag.remaining) !== 0,
    bytes: end - start,
  };
}

type Mutable<T> = { -readonly [Key in keyof T]: T[Key] };
