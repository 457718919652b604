import { type Random, TwinlineError } from '../base/index.ts';

/** The pair's wrapping keys by version (32 bytes each); the newest seals, all open. */
export interface PairKeys {
  readonly newest: number;
  readonly keys: ReadonlyMap<number, Uint8Array>;
}

export interface Sealer {
  /** AES-256-GCM under a fresh key that is wrapped by the pair's. JSON-able values; base64 of the result fits a state value. */
  seal(value: unknown): Uint8Array;
  /** Throws `TwinlineError` `seal_broken` when the bytes were altered or their key version is unknown. */
  open(sealed: Uint8Array): unknown;
}

export function sealer(_keys: PairKeys, _random: Random): Sealer {
  throw new TwinlineError('not_ready', 'sealer is being written');
}

/** Reads the pair's key file (0600), or makes it with one key. Two processes starting at once agree on one. */
export function loadOrCreateKeyFile(_path: string, _random: Random): PairKeys {
  throw new TwinlineError('not_ready', 'loadOrCreateKeyFile is being written');
}
