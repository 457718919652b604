import { TwinlineError, type ZoneId } from '../base/index.ts';
import type { StateKey, StateKind, Stored, Write } from './port.ts';

/** A stored value with what decides between two zones' versions of it. `value` is JSON or bytes; undefined is a tombstone. */
export interface StateRecord {
  readonly value: string | Uint8Array | undefined;
  /** The epoch of the fence under which it was written, 0 without one. */
  readonly epoch: number;
  readonly updatedUtcMs: number;
  /** 0: never. */
  readonly expiresUtcMs: number;
}

export const isVolatile = (kind: StateKind): boolean =>
  kind === 'call' || kind === 'call-key' || kind === 'call-index';

/**
 * Whether `one` counts before `other`: by epoch first where calls are concerned, by time first in durable kinds. When
 * both are equal the zones' names decide, so that both zones see the same.
 */
export function outranks(
  volatile: boolean,
  one: StateRecord,
  oneZone: ZoneId,
  other: StateRecord,
  otherZone: ZoneId,
): boolean {
  const byEpoch = one.epoch - other.epoch;
  const byTime = one.updatedUtcMs - other.updatedUtcMs;
  const order = volatile ? byEpoch || byTime : byTime || byEpoch;
  return order === 0 ? oneZone > otherZone : order > 0;
}

export interface Found {
  readonly record: StateRecord;
  readonly zone: ZoneId;
}

/** The one of two zones' versions that counts. */
export function newest(
  volatile: boolean,
  own: Found | undefined,
  twin: Found | undefined,
): Found | undefined {
  if (own === undefined) return twin;
  if (twin === undefined) return own;
  return outranks(volatile, twin.record, twin.zone, own.record, own.zone) ? twin : own;
}

/** What a reader may see of the version that counts: nothing of the deleted and the expired. */
export function visible<T>(key: StateKey, found: Found | undefined, utcMs: number): Stored<T> | undefined {
  if (found === undefined || found.record.value === undefined) return undefined;
  const { value, epoch, updatedUtcMs, expiresUtcMs } = found.record;
  if (expiresUtcMs !== 0 && expiresUtcMs <= utcMs) return undefined;
  const read = typeof value === 'string' ? (JSON.parse(value) as T) : (Uint8Array.from(value) as T);
  return { key, value: read, zone: found.zone, epoch, updatedUtcMs };
}

/** `before` is the version that counts now: a wall clock set back must not make a write lose against what it replaces. */
export function recordOf(write: Write, epoch: number, utcMs: number, before: Found | undefined): StateRecord {
  const updatedUtcMs =
    write.updatedUtcMs ?? (before === undefined ? utcMs : Math.max(utcMs, before.record.updatedUtcMs + 1));
  if (write.op === 'delete') return { value: undefined, epoch, updatedUtcMs, expiresUtcMs: 0 };
  return {
    value: write.value instanceof Uint8Array ? Uint8Array.from(write.value) : toJson(write.key, write.value),
    epoch,
    updatedUtcMs,
    expiresUtcMs: write.expiresUtcMs ?? 0,
  };
}

function toJson(key: StateKey, value: unknown): string {
  let json: string | undefined;
  let cause: unknown;
  try {
    json = JSON.stringify(value);
  } catch (error) {
    cause = error;
  }
  if (json !== undefined) return json;
  throw new TwinlineError('state_value_unfit', `the value of ${key.kind} ${key.id.slice(0, 60)} is no JSON`, {
    cause,
  });
}

/** How long a tombstone hides at least what a late writer of the other zone may still say. */
export const TOMBSTONE_LIFE_MS = 5 * 60_000;

/**
 * Whether a record may be dropped for good: it is dead for long enough and the twin holds nothing that would come back,
 * or the twin's version has replaced it for that long.
 */
export function canSweep(
  volatile: boolean,
  own: Found,
  twin: Found | undefined,
  utcMs: number,
  tombstoneLifeMs: number,
): boolean {
  if (twin !== undefined) {
    return (
      outranks(volatile, twin.record, twin.zone, own.record, own.zone) &&
      twin.record.updatedUtcMs + tombstoneLifeMs <= utcMs
    );
  }
  const { value, updatedUtcMs, expiresUtcMs } = own.record;
  if (value === undefined) return updatedUtcMs + tombstoneLifeMs <= utcMs;
  return expiresUtcMs !== 0 && expiresUtcMs <= utcMs;
}
