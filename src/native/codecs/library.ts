import koffi from 'koffi';

type Call = (...values: number[]) => number;
/** A pointer as a plain number. */
export type Address = number;
export type Bind = (symbol: string, result: string, parameters: string[]) => Call;

/** Debian's library of a codec, by the soname that the package ships without its development files. */
export interface CodecLibrary {
  readonly soname: string;
  readonly debianPackage: string;
}

export const OPUS: CodecLibrary = { soname: 'libopus.so.0', debianPackage: 'libopus0' };
export const SPANDSP: CodecLibrary = { soname: 'libspandsp.so.2', debianPackage: 'libspandsp2' };
export const BCG729: CodecLibrary = { soname: 'libbcg729.so.0', debianPackage: 'libbcg729-0' };

/** Opens a library and binds what `use` asks for; undefined when the library is missing or lacks a function. */
export function openLibrary<T>(library: CodecLibrary, use: (bind: Bind) => T): T | undefined {
  try {
    const opened = koffi.load(library.soname);
    return use((symbol, result, parameters) => opened.func(symbol, result, parameters) as unknown as Call);
  } catch {
    return undefined;
  }
}

/**
 * 120 ms at 48 kHz, and twice as much: no decoder can be made to write more than it is told to, but spandsp and bcg729 are not told, so their
 * input is cut to what surely fits.
 */
export const MOST_SAMPLES = 5760;
/** RFC 6716 §3.2.1: a packet's frames of at most 1,275 octets, 48 of them at the very most; what one datagram can bring is less. */
export const MOST_PAYLOAD_BYTES = 2048;

/**
 * One block per thread: calls are synchronous, and copying a payload and a frame costs less than asking for an address per packet. Nothing
 * that a caller hands over is ever seen by C.
 */
const block = new ArrayBuffer(2 * MOST_SAMPLES * 2 + 2 * MOST_PAYLOAD_BYTES + 64);
const base: Address = Number(koffi.address(new Uint8Array(block)));
const PAYLOAD_AT = 2 * MOST_SAMPLES * 2;
const SMALL_AT = PAYLOAD_AT + 2 * MOST_PAYLOAD_BYTES;

export const scratch = {
  pcm: new Int16Array(block, 0, 2 * MOST_SAMPLES),
  pcmAt: base,
  payload: new Uint8Array(block, PAYLOAD_AT, 2 * MOST_PAYLOAD_BYTES),
  payloadAt: base + PAYLOAD_AT,
  small: new Int32Array(block, SMALL_AT, 16),
  smallAt: base + SMALL_AT,
};

/** Copies [from, to) of a payload where C can read it; its length, or -1 when the range is not inside or too long. */
export function bringPayload(payload: Uint8Array, from: number, to: number): number {
  if (!(from >= 0 && from <= to && to <= payload.length && to - from <= MOST_PAYLOAD_BYTES)) return -1;
  const target = scratch.payload;
  for (let i = from; i < to; i++) target[i - from] = payload[i] as number;
  return to - from;
}

/** Copies what C wrote to `out`; the octets, 0 when it does not fit. */
export function fetchPayload(length: number, out: Uint8Array, at: number): number {
  if (!(length > 0 && at >= 0 && at + length <= out.length)) return 0;
  const source = scratch.payload;
  for (let i = 0; i < length; i++) out[at + i] = source[i] as number;
  return length;
}
