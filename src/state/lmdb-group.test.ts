import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type AccountId, silentLogger, VirtualClock, type ZoneId } from '../base/index.ts';
import { openLmdbState } from './index.ts';
import { Environment, openOwn, type Store } from './lmdb-environment.ts';
import { GroupCommit } from './lmdb-group.ts';

const bytes = Buffer.from('value');
const turn = () => new Promise((resolve) => setImmediate(resolve));

/** A disk that ends its flushes when it is told to. */
class SlowDisk {
  /** The keys of each transaction that was begun: what was said in one turn. */
  readonly transactions: string[][] = [];
  readonly #ends: ((error?: Error) => void)[] = [];
  #open: string[] | undefined;
  #flush: Promise<boolean> | undefined;
  readonly refused = new Set<string>();

  readonly environment = new Environment({
    store: {
      put: (key: string) => this.#add(key),
      batch: (put: () => void) => {
        put();
        return this.#flush;
      },
    } as unknown as Store,
    alone: true,
    close: async () => {},
  });

  #add(key: string): Promise<boolean> {
    if (this.#open === undefined) {
      const keys: string[] = [];
      this.#open = keys;
      this.transactions.push(keys);
      this.#flush = new Promise((resolve, reject) => {
        this.#ends.push(() => {
          if (keys.some((one) => this.refused.has(one))) reject(new Error('ENOSPC'));
          else resolve(true);
        });
      });
      queueMicrotask(() => {
        this.#open = undefined;
      });
    }
    this.#open.push(key);
    return this.#flush!;
  }

  async endFlush(): Promise<void> {
    this.#ends.shift()!();
    await turn();
  }
}

describe('writes of one process to a flushed environment', () => {
  let clock: VirtualClock;
  let disk: SlowDisk;
  let group: GroupCommit;
  let done: string[];
  beforeEach(() => {
    clock = new VirtualClock();
    disk = new SlowDisk();
    group = new GroupCommit(disk.environment, clock, { gatherMs: 20, gatherLazyMs: 50, firstVersion: 1 });
    done = [];
  });
  const write = (key: string, lazy = false): void => {
    group.write({ puts: [[key, bytes]], condition: undefined, lazy }).then(
      () => done.push(key),
      (error) => done.push(`${key}: ${error.code}`),
    );
  };
  const wait = async (ms: number): Promise<void> => {
    clock.advance(ms);
    await turn();
  };

  test('a lone one goes at once; the next within 20 ms wait for each other', async () => {
    write('a');
    expect(disk.transactions).toEqual([['a']]);
    await disk.endFlush();
    expect(done).toEqual(['a']);
    await wait(5);
    write('b');
    write('c');
    await wait(14);
    write('d');
    expect(disk.transactions).toHaveLength(1);
    await wait(1);
    expect(disk.transactions).toEqual([['a'], ['b', 'c', 'd']]);
    await disk.endFlush();
    expect(done).toEqual(['a', 'b', 'c', 'd']);
    await wait(20);
    write('e');
    expect(disk.transactions).toHaveLength(3);
  });

  test('one that may wait longer does, unless a batch goes anyhow', async () => {
    write('a');
    await disk.endFlush();
    write('lazy', true);
    await wait(49);
    expect(disk.transactions).toHaveLength(1);
    await wait(1);
    expect(disk.transactions[1]).toEqual(['lazy']);
    await disk.endFlush();
    write('lazy', true);
    write('eager');
    await wait(20);
    expect(disk.transactions[2]).toEqual(['lazy', 'eager']);
  });

  test('a slow disk makes late, never wrong: two flushes at most are under way and all answers come', async () => {
    for (let n = 0; n < 500; n += 10) {
      write(`k${n}`);
      await wait(10);
    }
    expect(disk.transactions).toHaveLength(2);
    await disk.endFlush();
    expect(disk.transactions).toHaveLength(3);
    await disk.endFlush();
    await disk.endFlush();
    expect(done).toHaveLength(50);
    expect(done.every((key) => !key.includes(':'))).toBe(true);
  });

  test('what waits for a disk that is gone is bounded', async () => {
    for (let n = 0; n < 10_002; n++) write(`k${n}`);
    write('one too many');
    await wait(20);
    expect(done).toEqual(['k10001: state_busy', 'one too many: state_busy']);
  });

  test('of a batch that fails, each is tried by itself, and only the culprit hears of it', async () => {
    disk.refused.add('big');
    write('a');
    await disk.endFlush();
    write('b');
    write('big');
    write('c');
    await wait(20);
    for (let n = 0; n < 4; n++) await disk.endFlush();
    expect(disk.transactions).toEqual([['a'], ['b', 'big', 'c'], ['b'], ['big'], ['c']]);
    expect(done).toEqual(['a', 'b', 'big: state_full', 'c']);
  });

  test('closing writes what waits, and nothing is taken any more', async () => {
    write('a');
    write('b');
    const closed = group.close();
    await disk.endFlush();
    await closed;
    expect(done).toEqual(['a', 'b']);
    write('late');
    await turn();
    expect(done.at(-1)).toBe('late: state_closed');
  });
});

describe('a port that is being closed', () => {
  let directory: string;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'twinline-group-'));
  });
  afterEach(() => rm(directory, { recursive: true }));

  test('refuses reads and writes that come meanwhile; nothing is thrown where nobody can catch it', async () => {
    const clock = new VirtualClock();
    const key = { account: 'demo' as AccountId, kind: 'registration' as const, id: '1' };
    const open = (zone: string, twin: string) =>
      openLmdbState({
        directory,
        zone: zone as ZoneId,
        twin: twin as ZoneId,
        clock,
        log: silentLogger,
        bootId: 'boot',
      });
    const twin = await open('b', 'a');
    const port = await open('a', 'b');
    const uncaught: unknown[] = [];
    const note = (error: unknown) => uncaught.push(error);
    process.on('uncaughtException', note);
    try {
      const written = port.commit([{ op: 'put', key, value: 1 }], { durability: 'durable' });
      await port.get(key);
      const closed = port.close();
      await written;
      let isOpen = true;
      void closed.then(() => {
        isOpen = false;
      });
      while (isOpen) {
        await Promise.allSettled([port.get(key), port.list(key.account, 'registration'), port.leases()]);
        await Promise.allSettled([port.commit([{ op: 'put', key, value: 2 }], { durability: 'durable' })]);
        await Promise.allSettled([port.sweep()]);
        await turn();
      }
      await expect(port.get(key)).rejects.toMatchObject({ code: 'state_closed' });
      await expect(
        port.commit([{ op: 'put', key, value: 3 }], { durability: 'volatile' }),
      ).rejects.toMatchObject({ code: 'state_closed' });
      // lmdb's timers were set before this one and with no longer a delay.
      await new Promise((resolve) => setTimeout(resolve, 1));
      expect(uncaught).toEqual([]);
      expect((await twin.get(key))?.value).toBe(1);
    } finally {
      process.off('uncaughtException', note);
      await twin.close();
    }
  });

  test('an environment gives nothing away once its closing has begun', async () => {
    const environment = await openOwn(join(directory, 'x'), false);
    const write = environment.store.put('k', bytes, 1);
    const closed = environment.close();
    expect(() => environment.store).toThrow(expect.objectContaining({ code: 'state_closed' }));
    await write;
    await closed;
  });
});
