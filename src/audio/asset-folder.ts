import { open, realpath } from 'node:fs/promises';
import { isAbsolute, join, sep } from 'node:path';
import { failed, ok, type Result } from '../base/index.ts';
import type { AudioProblem } from './problem.ts';

/** A file's octets, and what tells whether it is still the same. */
export interface AssetBytes {
  readonly bytes: Uint8Array;
  readonly version: string;
}

/** Where assets lie. */
export interface AssetStore {
  /** `known`: the version that the caller has; the octets are left out when it is still that. */
  read(
    name: string,
    mostBytes: number,
    known?: string,
  ): Promise<Result<AssetBytes | 'unchanged', AudioProblem>>;
}

const LONGEST_NAME = 255;

/** Files below a folder. A name that leads out of it, by `..` or by a link, is refused. */
export function assetFolder(folder: string): AssetStore {
  return {
    async read(name, mostBytes, known) {
      const parts = name.split('/');
      if (
        name.length === 0 ||
        name.length > LONGEST_NAME ||
        isAbsolute(name) ||
        /[\\\0]/.test(name) ||
        parts.some((part) => part === '' || part === '.' || part === '..')
      )
        return refused(name);
      try {
        const root = await realpath(folder);
        const path = await realpath(join(root, ...parts));
        if (!path.startsWith(root + sep)) return refused(name);
        const file = await open(path, 'r');
        try {
          const { size, mtimeMs } = await file.stat();
          if (size > mostBytes)
            return failed({
              code: 'asset_too_large',
              message: `${name}: ${size} octets, and at most ${mostBytes} are read`,
            });
          const version = `${size}-${mtimeMs}`;
          return ok(version === known ? 'unchanged' : { bytes: await file.readFile(), version });
        } finally {
          await file.close();
        }
      } catch (error) {
        return failed({
          code: 'asset_missing',
          message: `${name}: not readable below ${folder}: ${(error as Error).message}`,
        });
      }
    },
  };
}

/** The first folder that has the name. What each said is told when none has. */
export function assetFolders(folders: readonly string[]): AssetStore {
  const stores = folders.map(assetFolder);
  return {
    async read(name, mostBytes, known) {
      const missing: string[] = [];
      for (const store of stores) {
        const found = await store.read(name, mostBytes, known);
        if (found.ok || found.error.code !== 'asset_missing') return found;
        missing.push(found.error.message);
      }
      return failed({ code: 'asset_missing', message: missing.join('; ') });
    },
  };
}

const refused = (name: string): Result<never, AudioProblem> =>
  failed({
    code: 'asset_refused',
    message: `${JSON.stringify(name.slice(0, LONGEST_NAME))}: no name of a file below the folder of assets`,
  });
