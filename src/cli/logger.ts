import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { pino } from 'pino';
import type { Logger } from '../base/index.ts';
import { logDir } from './paths.ts';

/** Fields that must never be read in a log, wherever they stand. No event should carry them; this is the second lock. */
const SECRETS = [
  'password',
  'secret',
  'ha1',
  'keySalt',
  'sendKey',
  'receiveKey',
  'key',
  'authorization',
  'digit',
].flatMap((name) => [name, `*.${name}`, `*.*.${name}`]);

/** Lines are written together: each write of its own wakes a thread. */
const FLUSH_MS = 100;
const MAX_UNWRITTEN_BYTES = 8_192;

/** One JSON line per event in `DATA/log/<process>.log`, or on stderr. */
export function createLogger(options: {
  /** `switch-a1`: the file's name and a field of each line. */
  readonly name: string;
  readonly data: string;
  readonly level: string;
  readonly toStderr: boolean;
}): Logger {
  const { name, data, level, toStderr } = options;
  if (!toStderr) mkdirSync(logDir(data), { recursive: true, mode: 0o700 });
  const destination = pino.destination({
    dest: toStderr ? 2 : join(logDir(data), `${name}.log`),
    // Nobody waits for a disk to write a log; what is not yet written is flushed at the end.
    sync: false,
    minLength: MAX_UNWRITTEN_BYTES,
    mode: 0o600,
  });
  // A full disk loses lines, not calls.
  destination.on('error', () => {});
  process.once('exit', () => {
    try {
      destination.flushSync();
    } catch {
      // It was never opened.
    }
  });
  let flushing = false;
  const stream = {
    write(line: string): void {
      destination.write(line);
      if (flushing) return;
      flushing = true;
      setTimeout(() => {
        flushing = false;
        destination.flush(() => {});
      }, FLUSH_MS).unref();
    },
  };
  return pino(
    {
      level,
      base: { process: name },
      timestamp: pino.stdTimeFunctions.isoTime,
      redact: { paths: SECRETS, censor: '[redacted]' },
    },
    stream,
  ) as unknown as Logger;
}
