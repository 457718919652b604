import {
  type AccountId,
  type Clock,
  type Logger,
  type StreamId,
  TwinlineError,
  type UserId,
  unreachable,
} from '../base/index.ts';
import type { CallCommand, CallEvent, TrunkWay } from '../call/index.ts';
import type { Binding } from '../directory/index.ts';
import type { StatePort } from '../state/index.ts';
import type { Edges } from './edges.ts';
import type { Ladders } from './ladder.ts';
import type { MediaLinks } from './media-links.ts';
import type { RunningCall } from './running-call.ts';

export const RECORD_LOG = 'records';
/** The state may be away for a moment. */
const BINDINGS_RETRY_MS = 250;
/** A record that cannot be written is tried again this often: nothing that happened goes unrecorded. */
const RECORD_RETRY_MS = 1_000;

export interface CarrierOptions {
  readonly clock: Clock;
  readonly edges: Edges;
  readonly media: MediaLinks;
  readonly state: StatePort;
  readonly ladders: Ladders;
  readonly log: Logger;
  readonly bindingsOf: (account: AccountId, user: UserId) => Promise<readonly Binding[]>;
  /** Data centres where a user may be who has no bindings here. */
  readonly elsewhere: (account: AccountId, user: UserId) => readonly TrunkWay[];
  readonly stillOwned: (running: RunningCall, epoch: number) => boolean;
  /** Hands an answer back to the call. */
  readonly handle: (running: RunningCall, event: CallEvent) => Promise<void>;
  /** Defined while it is in doubt whether our bundles are still ours: nothing leaves until it resolves. */
  readonly confirmed: () => Promise<void> | undefined;
  readonly opened: (
    running: RunningCall,
    stream: StreamId,
    media: NonNullable<RunningCall['streams'][StreamId]>,
  ) => void;
}

type MediaPut = Extract<CallCommand, { type: 'media-put' }>;

/** Carries a call's commands out, each harmless the second time. What comes back goes into the call as an event. */
export class CallCarrier {
  readonly #options: CarrierOptions;

  constructor(options: CarrierOptions) {
    this.#options = options;
  }

  carryOut(running: RunningCall, commands: readonly CallCommand[], epoch: number): void {
    const doubt = this.#options.confirmed();
    if (doubt === undefined) {
      for (const command of commands) this.#carryOut(running, command, epoch);
      return;
    }
    void doubt.then(() => {
      if (this.#options.stillOwned(running, epoch)) this.carryOut(running, commands, epoch);
    });
  }

  /** Resolves when the records among the commands are in the durable log: until then the call that holds them must stay. */
  async keepRecords(running: RunningCall, commands: readonly CallCommand[]): Promise<void> {
    for (const command of commands) {
      if (command.type === 'record') await this.#record(running, command.record);
    }
  }

  #carryOut(running: RunningCall, command: CallCommand, epoch: number): void {
    switch (command.type) {
      case 'send':
        this.#send(running, command, epoch);
        return;
      case 'find-bindings':
        void this.#findBindings(running, command.user);
        return;
      case 'media-put':
        void this.#put(running, { ...command.stream, bundle: running.bundle, epoch }, command.opened);
        return;
      case 'media-close':
        void this.#close(running, command.streams, epoch);
        return;
      case 'record':
        // By `keepRecords`.
        return;
      default:
        unreachable(command);
    }
  }

  #send(running: RunningCall, command: Extract<CallCommand, { type: 'send' }>, epoch: number): void {
    const { edges, ladders, clock } = this.#options;
    const { flow, text, remote } = command;
    edges.send(flow, text, {
      owner: { bundle: running.bundle, epoch },
      ...(remote === undefined ? {} : { remote }),
    });
    ladders.capture(running, {
      utcMs: clock.utcMs(),
      leg: command.leg,
      direction: 'out',
      peer: `${flow.remote.address}:${flow.remote.port}`,
      transport: flow.transport,
      text,
    });
  }

  async #findBindings(running: RunningCall, user: UserId): Promise<void> {
    // Not to be able to ask is no answer: the call itself knows how long it can wait.
    let bindings: readonly Binding[] | undefined;
    while (bindings === undefined && running.call !== undefined) {
      try {
        bindings = await this.#options.bindingsOf(running.account, user);
      } catch (error) {
        this.#options.log.error({ call: running.id, error: String(error) }, 'bindings.not_read');
        await new Promise<void>((resolve) => this.#options.clock.after(BINDINGS_RETRY_MS, resolve));
      }
    }
    if (bindings === undefined) return;
    const elsewhere = bindings.length > 0 ? [] : this.#options.elsewhere(running.account, user);
    await this.#options.handle(running, {
      type: 'bindings',
      user,
      bindings,
      ...(elsewhere.length > 0 && { elsewhere }),
    });
  }

  async #put(running: RunningCall, stream: MediaPut['stream'], place: MediaPut['opened']): Promise<void> {
    try {
      const opened = await this.#options.media.put(stream, () => running.streams[stream.id], place);
      this.#options.opened(running, stream.id, opened.media);
      if (!this.#options.stillOwned(running, stream.epoch)) return;
      if (running.call === undefined) {
        // The call ended while the stream was being opened: nobody else will close it.
        await this.#close(running, [stream.id], stream.epoch);
        return;
      }
      await this.#options.handle(running, { type: 'media-opened', opened });
    } catch (error) {
      const code = error instanceof TwinlineError ? error.code : 'unknown';
      this.#options.log.warn(
        { call: running.id, stream: stream.id, code, error: String(error) },
        'media.put_failed',
      );
      await this.#options.handle(running, { type: 'media-failed', stream: stream.id, code });
    }
  }

  async #close(running: RunningCall, streams: readonly StreamId[], epoch: number): Promise<void> {
    const byMedia = groupBy(streams, (stream) => running.streams[stream]);
    await Promise.all(
      [...byMedia].map(async ([media, ids]) => {
        try {
          const reports = await this.#options.media.close(
            { bundle: running.bundle, epoch, streams: [...ids] },
            () => running.streams[ids[0]!] ?? media,
          );
          await this.#options.handle(running, { type: 'media-closed', reports });
        } catch (error) {
          this.#options.log.warn({ call: running.id, error: String(error) }, 'media.close_failed');
        }
      }),
    );
  }

  async #record(
    running: RunningCall,
    record: Extract<CallCommand, { type: 'record' }>['record'],
  ): Promise<void> {
    for (;;) {
      try {
        await this.#options.state.append(running.account, RECORD_LOG, record);
        return;
      } catch (error) {
        this.#options.log.error({ call: running.id, error: String(error) }, 'record.not_written');
        await new Promise<void>((resolve) => this.#options.clock.after(RECORD_RETRY_MS, resolve));
      }
    }
  }
}

function groupBy<T, K>(items: readonly T[], keyOf: (item: T) => K): Map<K, T[]> {
  const groups = new Map<K, T[]>();
  for (const item of items) {
    const key = keyOf(item);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [item]);
    else group.push(item);
  }
  return groups;
}
