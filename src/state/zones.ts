import type { ZoneId } from '../base/index.ts';
import type { ZoneLeases, ZoneSeen } from './port.ts';

/** The leases of a pair in one process: for tests and the simulator. `open` gives one zone's view. */
export class MemoryZones {
  readonly #zones = new Map<ZoneId, ZoneSeen>();
  /** Whom the store cannot be reached by. */
  readonly away = new Set<ZoneId>();

  /** The store loses its last second: that a zone was taken. */
  forget(zone: ZoneId): void {
    const held = this.#zones.get(zone);
    if (held !== undefined) this.#zones.set(zone, { holder: held.holder, count: held.count });
  }

  open(zone: ZoneId, twin: ZoneId): ZoneLeases {
    const zones = this.#zones;
    const reached = (): void => {
      if (this.away.has(zone)) throw new Error('the state is away');
    };
    return {
      async begin(holder, over) {
        reached();
        const held = zones.get(zone);
        const isFree =
          held === undefined ||
          held.takenBy !== undefined ||
          held.holder === holder ||
          (held.holder === over?.holder && held.count === over.count);
        if (!isFree) return held;
        zones.set(zone, { holder, count: 0 });
        return 'begun';
      },
      async renew(holder, count) {
        reached();
        const held = zones.get(zone);
        if (held !== undefined && (held.holder !== holder || isOver(held))) return 'lost';
        zones.set(zone, { holder, count });
        return { twin: zones.get(twin) };
      },
      async claim(holder, seen) {
        reached();
        const own = zones.get(zone);
        if (own?.holder !== holder || isOver(own)) return 'lost';
        const other = zones.get(twin);
        if (other === undefined) zones.set(twin, { holder: seen.holder, count: seen.count });
        if (other?.holder !== seen.holder || other.count !== seen.count) return 'changed';
        zones.set(twin, { ...other, takenBy: holder });
        return 'claimed';
      },
      async own() {
        reached();
        return zones.get(zone);
      },
      async ended(holder) {
        reached();
        const held = zones.get(zone);
        if (held?.holder === holder) zones.set(zone, { ...held, ended: true });
      },
    };
  }
}

const isOver = ({ takenBy, ended }: ZoneSeen): boolean => takenBy !== undefined || ended === true;
