import type { StateRecord } from './record.ts';

/**
 * A record in LMDB: format u8, tombstone u8, six zero bytes, then epoch, updated and expires as little-endian f64, then
 * the JSON. The sweeper and the merge read the head without touching the value.
 */
const FORMAT = 1;
const HEAD_BYTES = 32;

export function encodeRecord({ value, epoch, updatedUtcMs, expiresUtcMs }: StateRecord): Buffer {
  const size = value === undefined ? 0 : Buffer.byteLength(value);
  const bytes = Buffer.allocUnsafe(HEAD_BYTES + size);
  bytes.fill(0, 0, 8);
  bytes[0] = FORMAT;
  bytes[1] = value === undefined ? 1 : 0;
  bytes.writeDoubleLE(epoch, 8);
  bytes.writeDoubleLE(updatedUtcMs, 16);
  bytes.writeDoubleLE(expiresUtcMs, 24);
  if (value !== undefined) bytes.write(value, HEAD_BYTES);
  return bytes;
}

/** Undefined for what another release wrote and this one cannot read. */
export function decodeRecord(bytes: Buffer | undefined, headOnly = false): StateRecord | undefined {
  if (bytes === undefined || bytes.length < HEAD_BYTES || bytes[0] !== FORMAT) return undefined;
  return {
    value: bytes[1] === 1 ? undefined : headOnly ? '' : bytes.toString('utf8', HEAD_BYTES),
    epoch: bytes.readDoubleLE(8),
    updatedUtcMs: bytes.readDoubleLE(16),
    expiresUtcMs: bytes.readDoubleLE(24),
  };
}
