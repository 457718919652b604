import { type ChildProcess, fork } from 'node:child_process';
import type { SrtpSuite } from '../../src/sdp/index.ts';
import type { StreamEvent, StreamOrder, StreamReport } from './stream-messages.ts';

const LOADER = new URL('../support/typescript-loader.mjs', import.meta.url).href;
const PROGRAM = new URL('./stream-process.ts', import.meta.url);

export interface OpenedStream {
  readonly port: number;
  readonly keySalt?: string;
}

/** The sender process, from outside. */
export class Streams {
  readonly pid: number;
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess) {
    this.#child = child;
    this.pid = child.pid!;
  }

  static async start(): Promise<Streams> {
    const child = fork(PROGRAM, {
      execArgv: ['--import', LOADER],
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    });
    const streams = new Streams(child);
    await streams.#heard('ready');
    return streams;
  }

  async open(count: number, suite?: SrtpSuite): Promise<readonly OpenedStream[]> {
    this.order({ do: 'open', streams: count, ...(suite && { suite }) });
    return (await this.#heard('opened')).streams;
  }

  order(order: StreamOrder): void {
    this.#child.send(order);
  }

  async report(): Promise<StreamReport> {
    this.order({ do: 'report' });
    return await this.#heard('report');
  }

  stop(): void {
    this.#child.disconnect();
  }

  #heard<E extends StreamEvent['event']>(event: E): Promise<Extract<StreamEvent, { event: E }>> {
    return new Promise((resolve, reject) => {
      const onMessage = (message: unknown): void => {
        if ((message as StreamEvent).event !== event) return;
        this.#child.off('message', onMessage);
        this.#child.off('exit', onExit);
        resolve(message as Extract<StreamEvent, { event: E }>);
      };
      const onExit = (): void => reject(new Error('the sender process ended; its own words stand above'));
      this.#child.on('message', onMessage);
      this.#child.once('exit', onExit);
    });
  }
}
