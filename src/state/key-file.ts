import {
  closeSync,
  fstatSync,
  fsyncSync,
  linkSync,
  mkdirSync,
  openSync,
  readFileSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { type Random, randomText, TwinlineError } from '../base/index.ts';

/** The pair's wrapping keys by version (32 bytes each); the newest seals, all open. */
export interface PairKeys {
  readonly newest: number;
  readonly keys: ReadonlyMap<number, Uint8Array>;
}

/**
 * Reads the pair's key file, or makes it (mode 0600) with one key of version 1. Of two processes that start at once one
 * makes it and both read the same. A line is `VERSION HEX`; a new key is a new line, an old one stays as long as
 * anything sealed under it lives. Throws `key_file_unsafe` or `key_file_invalid`.
 */
export function loadOrCreateKeyFile(path: string, random: Random): PairKeys {
  let text = read(path);
  if (text === undefined) {
    create(path, random);
    text = read(path);
  }
  if (text === undefined)
    throw new TwinlineError('key_file_invalid', `${path}: could neither be read nor made`);
  return parse(path, text);
}

function read(path: string): string | undefined {
  let descriptor: number;
  try {
    descriptor = openSync(path, 'r');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new TwinlineError('key_file_unsafe', `${path}: ${(error as Error).message}`, { cause: error });
  }
  try {
    const { mode, uid } = fstatSync(descriptor);
    const us = process.getuid?.();
    if ((mode & 0o077) !== 0 || (us !== undefined && uid !== us)) {
      throw new TwinlineError(
        'key_file_unsafe',
        `${path}: others may read this key file (mode ${(mode & 0o777).toString(8)}): chmod 600 it, and make it this user's`,
      );
    }
    return readFileSync(descriptor, 'utf8');
  } finally {
    closeSync(descriptor);
  }
}

function create(path: string, random: Random): void {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  const draft = `${path}.${randomText(random, 10)}`;
  const descriptor = openSync(draft, 'wx', 0o600);
  try {
    writeSync(descriptor, `1 ${Buffer.from(random.bytes(32)).toString('hex')}\n`);
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
  try {
    // Fails if another process was first: its key counts.
    linkSync(draft, path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  } finally {
    unlinkSync(draft);
  }
}

function parse(path: string, text: string): PairKeys {
  const keys = new Map<number, Uint8Array>();
  for (const [at, line] of text.split('\n').entries()) {
    if (line.trim() === '' || line.startsWith('#')) continue;
    const match = /^(\d{1,9}) ([0-9a-f]{64})$/.exec(line.trim());
    if (match === null) {
      throw new TwinlineError(
        'key_file_invalid',
        `${path}:${at + 1}: a line is a version and 64 hexadecimal digits`,
      );
    }
    keys.set(Number(match[1]), Buffer.from(match[2]!, 'hex'));
  }
  if (keys.size === 0) throw new TwinlineError('key_file_invalid', `${path}: no key in it`);
  return { newest: Math.max(...keys.keys()), keys };
}
