import type { StateRecord } from './record.ts';

/**
 * A record in LMDB: format u8, kind u8 (JSON, tombstone or bytes), six zero bytes, then epoch, updated and expires as
 * little-endian f64, then the value. The sweeper and the merge read the head without touching the value.
 */
const FORMAT = 1;
const HEAD_BYTES = 32;
const JSON_VALUE = 0;
const TOMBSTONE = 1;
const BYTES_VALUE = 2;

export function encodeRecord({ value, epoch, updatedUtcMs, expiresUtcMs }: StateRecord): Buffer {
  const size = value === undefined ? 0 : typeof value === 'string' ? Buffer.byteLength(value) : value.length;
  const bytes = Buffer.allocUnsafe(HEAD_BYTES + size);
  bytes.fill(0, 0, 8);
  bytes[0] = FORMAT;
  bytes[1] = value === undefined ? TOMBSTONE : typeof value === 'string' ? JSON_VALUE : BYTES_VALUE;
  bytes.writeDoubleLE(epoch, 8);
  bytes.writeDoubleLE(updatedUtcMs, 16);
  bytes.writeDoubleLE(expiresUtcMs, 24);
  if (typeof value === 'string') bytes.write(value, HEAD_BYTES);
  else if (value !== undefined) bytes.set(value, HEAD_BYTES);
  return bytes;
}

/** Undefined for what another release wrote and this one cannot read. */
export function decodeRecord(bytes: Buffer | undefined, headOnly = false): StateRecord | undefined {
  if (bytes === undefined || bytes.length < HEAD_BYTES || bytes[0] !== FORMAT) return undefined;
  return {
    value: valueIn(bytes, headOnly),
    epoch: bytes.readDoubleLE(8),
    updatedUtcMs: bytes.readDoubleLE(16),
    expiresUtcMs: bytes.readDoubleLE(24),
  };
}

function valueIn(bytes: Buffer, headOnly: boolean): StateRecord['value'] {
  if (bytes[1] === TOMBSTONE) return undefined;
  if (headOnly) return '';
  return bytes[1] === BYTES_VALUE ? bytes.subarray(HEAD_BYTES) : bytes.toString('utf8', HEAD_BYTES);
}
