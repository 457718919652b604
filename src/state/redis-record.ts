import type { ZoneId } from '../base/index.ts';
import type { Found, StateRecord } from './record.ts';

/**
 * A record in Redis, as the scripts read it too: format u8, kind u8 (JSON, tombstone or bytes), length of the zone's name u8, zero,
 * writer u32, then epoch, updated, expires and the writer's count as little-endian f64, the zone's name, the value.
 *
 * Writer and count: a command that was given up may still be carried out when the server answers again, behind one that was sent
 * later over a new connection. Of one writer's records the one with the higher count stays.
 */
const FORMAT = 1;
const HEAD_BYTES = 40;
const JSON_VALUE = 0;
const TOMBSTONE = 1;
const BYTES_VALUE = 2;
/** The scripts read this much of a record to decide. */
const MAX_ZONE_BYTES = 24;

export interface Writer {
  /** u32: one life of one port. */
  readonly id: number;
  count: number;
}

export function encodeRedisRecord(record: StateRecord, zone: ZoneId, writer: Writer): Buffer {
  const { value, epoch, updatedUtcMs, expiresUtcMs } = record;
  const zoneBytes = Math.min(MAX_ZONE_BYTES, Buffer.byteLength(zone));
  const size = value === undefined ? 0 : typeof value === 'string' ? Buffer.byteLength(value) : value.length;
  const bytes = Buffer.allocUnsafe(HEAD_BYTES + zoneBytes + size);
  bytes[0] = FORMAT;
  bytes[1] = value === undefined ? TOMBSTONE : typeof value === 'string' ? JSON_VALUE : BYTES_VALUE;
  bytes[2] = zoneBytes;
  bytes[3] = 0;
  bytes.writeUInt32LE(writer.id, 4);
  bytes.writeDoubleLE(epoch, 8);
  bytes.writeDoubleLE(updatedUtcMs, 16);
  bytes.writeDoubleLE(expiresUtcMs, 24);
  bytes.writeDoubleLE(++writer.count, 32);
  bytes.write(zone, HEAD_BYTES, zoneBytes);
  if (typeof value === 'string') bytes.write(value, HEAD_BYTES + zoneBytes);
  else if (value !== undefined) bytes.set(value, HEAD_BYTES + zoneBytes);
  return bytes;
}

/** Undefined for what this release cannot read: another format, or something that is not ours. */
export function decodeRedisRecord(bytes: Buffer): Found | undefined {
  if (bytes.length < HEAD_BYTES || bytes[0] !== FORMAT || bytes[1]! > BYTES_VALUE) return undefined;
  const valueAt = HEAD_BYTES + bytes[2]!;
  if (valueAt > bytes.length) return undefined;
  const record: StateRecord = {
    value: valueIn(bytes, valueAt),
    epoch: bytes.readDoubleLE(8),
    updatedUtcMs: bytes.readDoubleLE(16),
    expiresUtcMs: bytes.readDoubleLE(24),
  };
  return { record, zone: bytes.toString('utf8', HEAD_BYTES, valueAt) as ZoneId };
}

function valueIn(bytes: Buffer, at: number): StateRecord['value'] {
  if (bytes[1] === TOMBSTONE) return undefined;
  return bytes[1] === BYTES_VALUE ? bytes.subarray(at) : bytes.toString('utf8', at);
}
