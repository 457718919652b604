import { parentPort } from 'node:worker_threads';
import { decodeFile } from './decode-file.ts';
import type { SoundFile } from './file.ts';
import type { SampleRateHz } from './pcm.ts';

/** What the thread is asked, one file after another. */
export interface DecodeRequest {
  readonly file: SoundFile;
  readonly rateHz: SampleRateHz;
  readonly mostSeconds: number;
}

parentPort?.on('message', async ({ file, rateHz, mostSeconds }: DecodeRequest) => {
  const decoded = await decodeFile(file, rateHz, mostSeconds);
  parentPort?.postMessage(decoded, decoded.ok ? [decoded.value.buffer as ArrayBuffer] : []);
});
