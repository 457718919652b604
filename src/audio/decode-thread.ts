import { Worker } from 'node:worker_threads';
import { type Clock, failed, type Result, type Timer } from '../base/index.ts';
import type { DecodeFile } from './decode-file.ts';
import type { DecodeRequest } from './decode-worker.ts';
import type { Pcm } from './pcm.ts';
import type { AudioProblem } from './problem.ts';

export interface DecodeThread {
  readonly decode: DecodeFile;
  /** Ends the thread; what waits fails. */
  close(): void;
}

export interface DecodeThreadOptions {
  readonly clock: Clock;
  /** A file that takes longer is given up and the thread with it. Default 20,000. */
  readonly deadlineMs?: number;
  /** The thread ends after so long without work. Default 10,000. */
  readonly idleMs?: number;
  /** Node's options for the thread. Default: those of the process. */
  readonly execArgv?: readonly string[];
}

interface Waiting {
  readonly request: DecodeRequest;
  readonly answer: (result: Result<Pcm, AudioProblem>) => void;
}

/** Files are decoded in a thread beside the one that carries packets, one at a time; a file that upsets a decoder takes only that thread. */
export function openDecodeThread(options: DecodeThreadOptions): DecodeThread {
  const { clock, deadlineMs = 20_000, idleMs = 10_000 } = options;
  const queue: Waiting[] = [];
  let running: Waiting | undefined;
  let worker: Worker | undefined;
  let timer: Timer | undefined;
  let closed = false;

  const end = (): void => {
    timer?.cancel();
    const old = worker;
    worker = undefined;
    old?.removeAllListeners();
    // An error while it is being ended is no news.
    old?.on('error', () => {});
    void old?.terminate();
  };

  const open = (): Worker => {
    const file = import.meta.url.endsWith('.ts') ? './decode-worker.ts' : './decode-worker.js';
    const opened = new Worker(new URL(file, import.meta.url), {
      ...(options.execArgv !== undefined && { execArgv: [...options.execArgv] }),
      resourceLimits: { maxOldGenerationSizeMb: 512 },
      // The decoders' own complaints; ours come back as values.
      stderr: true,
    });
    opened.on('message', (result: Result<Pcm, AudioProblem>) => finish(result));
    opened.on('error', (error) => giveUp(`the decoder failed: ${error.message}`));
    opened.on('exit', (code) => giveUp(`the decoder ended with code ${code}`));
    opened.unref();
    return opened;
  };

  const finish = (result: Result<Pcm, AudioProblem>): void => {
    timer?.cancel();
    const done = running;
    running = undefined;
    done?.answer(result);
    next();
  };

  const giveUp = (why: string): void => {
    end();
    if (running !== undefined) finish(badDecode(running.request.file.name, why));
  };

  const next = (): void => {
    if (running !== undefined || closed) return;
    running = queue.shift();
    if (running === undefined) {
      timer = clock.after(idleMs, end);
      return;
    }
    timer?.cancel();
    worker ??= open();
    timer = clock.after(deadlineMs, () => giveUp(`not decoded after ${deadlineMs} ms`));
    worker.postMessage(running.request);
  };

  return {
    decode: (file, rateHz, mostSeconds) =>
      closed
        ? Promise.resolve(badDecode(file.name, 'the decoder is closed'))
        : new Promise((answer) => {
            queue.push({ request: { file, rateHz, mostSeconds }, answer });
            next();
          }),
    close() {
      closed = true;
      end();
      for (const { request, answer } of [...(running === undefined ? [] : [running]), ...queue.splice(0)])
        answer(badDecode(request.file.name, 'the decoder was closed'));
      running = undefined;
    },
  };
}

const badDecode = (name: string, why: string): Result<never, AudioProblem> =>
  failed({ code: 'asset_bad', message: `${name}: ${why}` });
