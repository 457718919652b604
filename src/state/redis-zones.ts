import type { ZoneId } from '../base/index.ts';
import type { ZoneLeases, ZoneSeen } from './port.ts';
import type { RedisConnection } from './redis-connection.ts';

const LIFE_MS = String(2 * 24 * 3600_000);
/** One partition: a claim looks at both. */
const leaseOf = (zone: ZoneId): string => `{zones}1//zone/${zone}`;

/** The leases of a pair's zones in Redis. `reachedReplica`: resolves when what was written so far would outlive the server. */
export function redisZones(
  connection: RedisConnection,
  { zone, twin }: { readonly zone: ZoneId; readonly twin: ZoneId },
  reachedReplica: () => Promise<void>,
): ZoneLeases {
  const both = [leaseOf(zone), leaseOf(twin)];
  return {
    async begin(holder, over) {
      const args = [holder, over?.holder ?? '', over === undefined ? '' : String(over.count), LIFE_MS];
      const said = (await connection.script('zoneBegin', [leaseOf(zone)], args, 'none')) as unknown[];
      return said[0] === 1 ? 'begun' : { holder: String(said[1]), count: Number(String(said[2])) };
    },
    async renew(holder, count) {
      const args = [holder, String(count), LIFE_MS];
      const said = (await connection.script('zoneRenew', both, args, 'none')) as unknown[];
      return said[0] === 1 ? { twin: seenOf(said.slice(1).map(String)) } : 'lost';
    },
    async claim(holder, seen) {
      const args = [holder, seen.holder, String(seen.count), LIFE_MS];
      const said = String(await connection.script('zoneClaim', both, args, 'none'));
      if (said === 'claimed') await reachedReplica();
      return said as Awaited<ReturnType<ZoneLeases['claim']>>;
    },
    async own() {
      const said = (await connection.script('zoneLook', [leaseOf(zone)], [], 'none')) as unknown[];
      return seenOf(said.map((field) => String(field ?? '')));
    },
    async ended(holder) {
      await connection.script('zoneEnd', [leaseOf(zone)], [holder], 'none');
    },
  };
}

function seenOf([holder = '', count = '', takenBy = '', ended = '']: readonly string[]):
  | ZoneSeen
  | undefined {
  if (holder === '') return undefined;
  return {
    holder,
    count: Number(count),
    ...(takenBy !== '' && { takenBy }),
    ...(ended !== '' && { ended: true }),
  };
}
