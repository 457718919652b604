import { failed, ok, type Result } from '../base/index.ts';
import type { AssetStore } from './asset-folder.ts';
import type { DecodeFile } from './decode-file.ts';
import { shareRuns } from './once.ts';
import type { Pcm, SampleRateHz } from './pcm.ts';
import { createPcmCache } from './pcm-cache.ts';
import type { AudioProblem } from './problem.ts';

export interface AssetsOptions {
  readonly store: AssetStore;
  readonly decode: DecodeFile;
  /** Of decoded samples, all rates together. Default 256 MiB. */
  readonly cacheBytes?: number;
  /** Of a file. Default 64 MiB. */
  readonly mostBytes?: number;
  /** Default 1,800. */
  readonly mostSeconds?: number;
}

/** Sound files as samples, decoded when they are first asked for at a rate and kept while there is room. */
export interface Assets {
  load(name: string, rateHz: SampleRateHz): Promise<Result<Pcm, AudioProblem>>;
  readonly usedBytes: number;
}

export function createAssets(options: AssetsOptions): Assets {
  const { store, decode, cacheBytes = 2 ** 28, mostBytes = 2 ** 26, mostSeconds = 1800 } = options;
  const cache = createPcmCache(cacheBytes);
  const shared = shareRuns<Result<Pcm, AudioProblem>>();

  const fetch = async (
    name: string,
    rateHz: SampleRateHz,
    key: string,
  ): Promise<Result<Pcm, AudioProblem>> => {
    const kept = cache.get(key);
    const read = await store.read(name, mostBytes, kept?.version);
    if (!read.ok) return read;
    if (read.value === 'unchanged') return ok((kept as NonNullable<typeof kept>).pcm);
    const { bytes, version } = read.value;
    const decoded = await decode({ name, bytes }, rateHz, mostSeconds);
    if (!decoded.ok) return decoded;
    if (decoded.value.byteLength > cacheBytes)
      return failed({
        code: 'asset_too_large',
        message: `${name}: ${decoded.value.byteLength} octets at ${rateHz} Hz, and the cache has ${cacheBytes}`,
      });
    cache.put(key, { pcm: decoded.value, version });
    return decoded;
  };

  return {
    get usedBytes() {
      return cache.usedBytes;
    },
    load(name, rateHz) {
      const key = `${rateHz} ${name}`;
      // Ten callers who hear the same welcome wait for one decoding.
      return shared(key, () => fetch(name, rateHz, key));
    },
  };
}
