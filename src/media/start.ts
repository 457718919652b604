import type { MediaOptions, MediaProcess } from './options.ts';

/** Starts serving. Rejects with `TwinlineError` naming the path, address or port range that cannot be used. */
export async function startMedia(_options: MediaOptions): Promise<MediaProcess> {
  throw new Error('not yet');
}
