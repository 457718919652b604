import { type BundleId, TwinlineError, type ZoneId } from '../base/index.ts';
import type { Durability, Fence, Lease, Write } from './port.ts';
import { isVolatile } from './record.ts';

/** What a zone stores of a lease. Released ones stay as tombstones, so that no epoch is given twice. */
export interface LeaseRecord extends Lease {
  readonly released: boolean;
  readonly updatedUtcMs: number;
}

/**
 * The lowest epoch above `seen` that this zone may give. Each zone of a pair has every second number, so that two
 * supervisors which adopt the same bundle at the same moment never give the same epoch.
 */
export function epochAbove(seen: number, zone: ZoneId, twin: ZoneId): number {
  const parity = zone < twin ? 1 : 0;
  const next = seen + 1;
  return next % 2 === parity ? next : next + 1;
}

export function newestLease(own: LeaseRecord | undefined, twin: LeaseRecord | undefined): Lease | undefined {
  const newest = twin === undefined || (own !== undefined && own.epoch >= twin.epoch) ? own : twin;
  if (newest === undefined || newest.released) return undefined;
  const { bundle, epoch, owner, zone } = newest;
  return { bundle, epoch, owner, zone };
}

/** Which environment a commit writes: one transaction touches one. */
export function isVolatileCommit(writes: readonly Write[], durability: Durability): boolean {
  const volatile = writes.some(({ key }) => isVolatile(key.kind));
  if (volatile && (durability === 'durable' || !writes.every(({ key }) => isVolatile(key.kind)))) {
    throw new TwinlineError(
      'state_mixed_commit',
      'calls are kept volatile and apart: commit them without other kinds and with durability "volatile"',
    );
  }
  return volatile;
}

export function checkGrantZone(zone: ZoneId, own: ZoneId): void {
  if (zone === own) return;
  throw new TwinlineError(
    'state_wrong_zone',
    `zone ${own} cannot grant for zone ${zone}: each zone writes its own leases`,
  );
}

export function fenced({ bundle, epoch }: Fence): TwinlineError {
  return new TwinlineError('fenced', `bundle ${bundle} is no longer held under epoch ${epoch}`);
}

export function releasedLease(
  fence: Fence,
  lease: Lease,
  zone: ZoneId,
  twin: ZoneId,
  utcMs: number,
): LeaseRecord {
  return {
    bundle: fence.bundle as BundleId,
    epoch: epochAbove(fence.epoch, zone, twin),
    owner: lease.owner,
    zone,
    released: true,
    updatedUtcMs: utcMs,
  };
}
