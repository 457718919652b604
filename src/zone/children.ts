import type { Channel, ProcessRef } from '../link/index.ts';

export type ChildRole = 'switch' | 'media';

/** How the supervisor gets processes: real ones in production, pretended ones in the simulator. */
export interface Spawner {
  spawn(role: ChildRole, id: string): SpawnedProcess;
}

export interface SpawnedProcess {
  readonly pid: number;
  readonly startTime: number;
  /** Called once when the process has ended, however. */
  onExit(handler: (how: string) => void): void;
  /** Asks it to end, and resolves when it has (it is killed if it does not). */
  stop(): Promise<void>;
}

/** One switch or media process of the zone, and the channel on which it answers. */
export interface Child {
  /** `switch a1`, as an operator names it. */
  readonly name: string;
  readonly role: ChildRole;
  readonly id: string;
  readonly process: ProcessRef;
  state: 'starting' | 'up' | 'ended';
  channel: Channel | undefined;
  draining: boolean;
  /** A switch that has got its first bundles; it keeps them when its channel ends and comes back. */
  granted: boolean;
  stats: Partial<{
    calls: number;
    streams: number;
    load: number;
    readsForm: number;
    cpuPercent: number;
    rssKib: number;
  }>;
  onExit(handler: (how: string) => void): void;
  stop(): Promise<void>;
}

export function startChild(spawner: Spawner, role: ChildRole, id: string): Child {
  const spawned = spawner.spawn(role, id);
  return {
    name: `${role} ${id}`,
    role,
    id,
    process: { role, id, pid: spawned.pid, startTime: spawned.startTime },
    state: 'starting',
    channel: undefined,
    draining: false,
    granted: false,
    stats: {},
    onExit: (handler) => spawned.onExit(handler),
    stop: () => spawned.stop(),
  };
}
