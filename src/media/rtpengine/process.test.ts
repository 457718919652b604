import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { freePort } from '../../../test/support/peer.ts';
import { Rtpengine } from '../../../test/support/rtpengine.ts';
import type { Clock, Logger, MediaId } from '../../base/index.ts';
import { systemClock, systemRandom } from '../../native/index.ts';
import type { MediaProcess } from '../options.ts';
import { startRtpengineMedia } from './start.ts';

/** What was logged, and who waits for it. */
class Log {
  readonly lines: { readonly what: string; readonly pid?: number }[] = [];
  readonly #waiting = new Set<() => void>();
  readonly logger: Logger;

  constructor() {
    const add = (data: object, what: string): void => {
      this.lines.push({ what, ...data });
      for (const look of this.#waiting) look();
    };
    this.logger = { debug: add, info: add, warn: add, error: add } as unknown as Logger;
  }

  /** The `count`th of them. */
  async nth(what: string, count: number): Promise<{ readonly pid?: number }> {
    for (;;) {
      const found = this.lines.filter((line) => line.what === what)[count - 1];
      if (found !== undefined) return found;
      await new Promise<void>((resolve) => {
        const look = (): void => {
          this.#waiting.delete(look);
          resolve();
        };
        this.#waiting.add(look);
      });
    }
  }
}

describe.skipIf(Rtpengine.program === undefined)('a media process that starts its rtpengine', () => {
  let log: Log;
  let media: MediaProcess | undefined;
  let directory: string;
  /** By how much the clock is ahead of the machine's. */
  let aheadMs: number;
  const clock: Clock = { ...systemClock, nowMs: () => systemClock.nowMs() + aheadMs };
  beforeEach(() => {
    log = new Log();
    aheadMs = 0;
    directory = mkdtempSync(path.join(tmpdir(), 'twinline-rtpengine-'));
  });
  afterEach(async () => {
    await media?.stop();
    rmSync(directory, { recursive: true });
  });

  async function start(words: readonly string[]): Promise<void> {
    const port = await freePort();
    const first = await freePort();
    media = await startRtpengineMedia({
      id: 'm' as MediaId,
      ng: { address: '127.0.0.1', port },
      command: { words, address: '127.0.0.1', ports: { first, last: first + 9 } },
      listenPath: path.join(directory, 's'),
      clock,
      random: systemRandom,
      log: log.logger,
    });
  }

  test('has it answer before it serves, and starts it again when it is killed', async () => {
    await start([Rtpengine.program!, '--num-threads=1']);
    expect(log.lines.map(({ what }) => what)).toEqual(['rtpengine.started', 'rtpengine.media_started']);
    const { pid } = await log.nth('rtpengine.started', 1);
    process.kill(pid!, 'SIGKILL');
    await log.nth('rtpengine.away', 1);
    const again = await log.nth('rtpengine.started', 2);
    expect(again.pid).not.toBe(pid);
    await log.nth('rtpengine.back', 1);
    await media!.stop();
    expect(() => process.kill(again.pid!, 0)).toThrow();
    expect(log.lines.filter(({ what }) => what === 'rtpengine.started')).toHaveLength(2);
  });

  test('ends one that runs and answers nothing, and starts another', async () => {
    await start([Rtpengine.program!, '--num-threads=1']);
    const { pid } = await log.nth('rtpengine.started', 1);
    aheadMs = 60_000;
    process.kill(pid!, 'SIGSTOP');
    await log.nth('rtpengine.started', 2);
    await log.nth('rtpengine.back', 1);
    expect(() => process.kill(pid!, 0)).toThrow();
  });

  test('serves without it when the program does not run', async () => {
    await start(['/nowhere/rtpengine']);
    expect(await log.nth('rtpengine.ended', 3)).toMatchObject({
      how: 'there is no program /nowhere/rtpengine',
    });
    expect(log.lines.map(({ what }) => what)).toContain('rtpengine.away');
    await media!.stop();
  });
});
