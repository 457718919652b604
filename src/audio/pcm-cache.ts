import type { Pcm } from './pcm.ts';

export interface KeptPcm {
  readonly pcm: Pcm;
  readonly version: string;
}

/** Samples by key, those not asked for the longest leave first. Whoever plays them holds them on his own. */
export interface PcmCache {
  get(key: string): KeptPcm | undefined;
  /** Nothing is kept that is larger than all the room. */
  put(key: string, entry: KeptPcm): void;
  readonly usedBytes: number;
}

export function createPcmCache(mostBytes: number): PcmCache {
  // A Map remembers the order of insertion: the first is the one not used for the longest.
  const entries = new Map<string, KeptPcm>();
  let used = 0;
  const remove = (key: string): KeptPcm | undefined => {
    const entry = entries.get(key);
    if (entry !== undefined) used -= entry.pcm.byteLength;
    entries.delete(key);
    return entry;
  };
  const add = (key: string, entry: KeptPcm): void => {
    entries.set(key, entry);
    used += entry.pcm.byteLength;
  };
  return {
    get usedBytes() {
      return used;
    },
    get(key) {
      const entry = remove(key);
      if (entry !== undefined) add(key, entry);
      return entry;
    },
    put(key, entry) {
      remove(key);
      if (entry.pcm.byteLength > mostBytes) return;
      add(key, entry);
      for (const oldest of entries.keys()) {
        if (used <= mostBytes) break;
        remove(oldest);
      }
    },
  };
}
