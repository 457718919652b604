import type { AccountId } from '../../src/base/index.ts';
import type { MemoryState, StateKind, StatePort, Stored, Write, ZoneLeases } from '../../src/state/index.ts';
import type { SimProcess } from './process.ts';
import type { StateFaults } from './state-faults.ts';

export interface SimStateOptions {
  readonly process: SimProcess;
  readonly port: MemoryState;
  readonly zone: string;
  readonly faults: StateFaults;
  /** How long the next operation takes, in all. */
  readonly delayMs: () => number;
  /** How long a question for values of that kind waits before that. */
  readonly waitMs: (kind: StateKind) => number;
  /** A commit has just happened, and its process does not know it yet. */
  readonly committed: (process: SimProcess, writes: readonly Write[]) => void;
  /** Of the pair, where it runs on two machines. */
  readonly zones?: ZoneLeases;
  /** Planted mistakes: see `Mistake`. */
  readonly commitLateMs?: number;
  readonly onList?: (stored: Stored<unknown>) => Stored<unknown>;
}

/**
 * A process's way to the state: an operation takes time, happens at one moment of it, and its result comes only to a process that still
 * lives. So a process can die, or be stopped, before a commit, or between the commit and the news of it.
 */
export function simState(options: SimStateOptions): StatePort {
  const { process, port, zone, faults, delayMs, waitMs, committed } = options;
  const soon = (ms: number) => new Promise<void>((resolve) => process.clock.after(ms, resolve));
  const run = async <T>(operation: () => Promise<T>, done: () => void = () => {}): Promise<T> => {
    const ms = faults.delayMs(delayMs());
    await soon(ms / 2);
    try {
      const result = await operation();
      done();
      await soon(ms / 2);
      return result;
    } catch (error) {
      await soon(ms / 2);
      throw error;
    }
  };
  const ask = async <T>(kind: StateKind, question: () => Promise<T>): Promise<T> => {
    const ms = waitMs(kind);
    if (ms > 0) await soon(ms);
    return run(question);
  };
  const write = <T>(operation: () => Promise<T>, done?: () => void): Promise<T> =>
    run(() => faults.toWrite(zone).then(operation), done);
  // A mistake: the owner is told at once, and what it commits is written a little later, in order.
  let late = Promise.resolve();
  const { commitLateMs } = options;
  return {
    capabilities: port.capabilities,
    ...(options.zones && { zones: options.zones }),
    get: (key) => ask(key.kind, () => port.get(key)),
    list: <T>(account: AccountId, kind: StateKind, idPrefix?: string) =>
      ask(kind, async () => {
        const found = await port.list<T>(account, kind, idPrefix);
        return options.onList === undefined ? found : (found.map(options.onList) as Stored<T>[]);
      }),
    commit: (writes, how) => {
      const copy = structuredClone(writes) as readonly Write[];
      if (commitLateMs !== undefined && how.fence !== undefined) {
        late = late.then(() => soon(commitLateMs)).then(() => port.commit(copy, how).catch(() => {}));
        committed(process, copy);
        return Promise.resolve();
      }
      return write(
        () => port.commit(copy, how),
        () => committed(process, copy),
      );
    },
    grant: (...args) => write(() => port.grant(...args)),
    lease: (bundle) => run(() => port.lease(bundle)),
    leases: () => run(() => port.leases()),
    release: (fence) => write(() => late.then(() => port.release(fence))),
    append: (...args) => write(() => port.append(...args)),
    read: (...args) => run(() => port.read(...args)),
    onRestored: (listener) => port.onRestored(() => process.run(listener)),
    close: () => port.close(),
  };
}
