import type { Socket } from 'node:net';
import { randomBelow } from '../base/index.ts';
import type { Channel } from './channel.ts';
import { Connection } from './connection.ts';
import type { ConnectOptions, LinkClient } from './options.ts';
import { socketWire } from './wire.ts';

/** A channel that lived this long was a good one: the next attempt may be as quick as the first. */
const GOOD_LIFE_MS = 1000;
const CONNECT_MS = 5000;
const DEFAULT_RETRY = { firstMs: 5, maxMs: 250 };

export interface Dial {
  readonly open: () => Socket;
  /** The event that says the socket can be used. */
  readonly ready: 'connect' | 'secureConnect';
  /** Refuses the socket before anything is said, with a sentence. */
  readonly check?: (socket: Socket) => string | undefined;
  readonly remainingDeadlines: boolean;
  /** For logs: where to. */
  readonly target: string;
}

/** Keeps one link up for as long as the client lives. */
export function keepConnected(dial: Dial, options: ConnectOptions): LinkClient {
  const { clock, random, log, onState } = options;
  const retry = options.retry ?? DEFAULT_RETRY;
  let channel: Channel | undefined;
  let ended = false;
  let waitMs = retry.firstMs;
  let abandon: (reason: string) => void = () => {};

  const attempt = (): void => {
    onState?.('connecting', '');
    const socket = dial.open();
    let connection: Connection | undefined;
    let failure = 'the connection ended';
    let over = false;
    let greetedMs = Number.POSITIVE_INFINITY;
    const timer = clock.after(CONNECT_MS, () =>
      socket.destroy(new Error(`no answer within ${CONNECT_MS} ms`)),
    );
    const finish = (reason: string): void => {
      if (over) return;
      over = true;
      timer.cancel();
      channel = undefined;
      onState?.('down', reason);
      if (ended) return;
      if (clock.nowMs() - greetedMs >= GOOD_LIFE_MS) waitMs = retry.firstMs;
      log.debug({ target: dial.target, reason, waitMs }, 'link.down');
      // Between half and the whole wait, so that a crowd of clients does not come in step.
      const delayMs = waitMs * (0.5 + randomBelow(random, 1000) / 2000);
      waitMs = Math.min(2 * waitMs, retry.maxMs);
      const pause = clock.after(delayMs, attempt);
      abandon = () => pause.cancel();
    };
    abandon = (reason) => {
      if (connection !== undefined) {
        connection.close(reason);
        return;
      }
      socket.destroy();
      finish(reason);
    };
    socket.on('error', (error) => {
      failure = error.message;
    });
    socket.once('close', () => finish(failure));
    socket.once(dial.ready, () => {
      timer.cancel();
      const refusal = dial.check?.(socket);
      if (refusal !== undefined) {
        socket.destroy(new Error(refusal));
        return;
      }
      connection = new Connection(socketWire(socket, clock), {
        self: options.self,
        clock,
        log,
        window: options.window,
        ping: options.ping,
        acknowledgeMs: options.acknowledgeMs,
        refuse: options.refuse,
        remainingDeadlines: dial.remainingDeadlines,
        onGreeted(greeted) {
          greetedMs = clock.nowMs();
          channel = greeted;
          onState?.('up', '');
          options.onChannel(greeted);
        },
        onEnd: finish,
      });
    });
  };
  attempt();

  return {
    get channel() {
      return channel;
    },
    close(reason = 'closed') {
      ended = true;
      abandon(reason);
    },
  };
}
