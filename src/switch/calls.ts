import {
  type AccountId,
  type BundleId,
  type CallId,
  type Clock,
  type Logger,
  type MediaId,
  type Random,
  type StreamId,
  type Tokens,
  TwinlineError,
} from '../base/index.ts';
import {
  beginCall,
  belongsTo,
  type Call,
  type CallCommand,
  type CallContext,
  type CallEvent,
  isHeardByAll,
  leavesZone,
  type NewCall,
  type Step,
  sipCallIdsOf,
  step,
} from '../call/index.ts';
import type { DirectorySnapshot } from '../directory/index.ts';
import type { MediaCapability, MediaEvent } from '../media/index.ts';
import { callIdOf, fromOf, type SipMessage, tagOf } from '../sip/index.ts';
import type { Sealer, StatePort } from '../state/index.ts';
import { Alarm } from './alarm.ts';
import type { Bundles } from './bundles.ts';
import { aheadOf } from './call-clock.ts';
import type { CallCarrier } from './carry-out.ts';
import { Checkpoints, KEEP_ENDED_MS } from './checkpoints.ts';
import { Delay } from './delay.ts';
import { detached, fromRest, toRest } from './resting.ts';
import type { CallIdentity, RunningCall } from './running-call.ts';
import { unpackCall } from './stored-call.ts';

/** The longest that anything of an ended call is sent again: 64 × T1 (RFC 3261 §17, RFC 6026 §7), and a slice of time. */
const REST_MS = 33_000;

/** Calls that are written again in one turn. */
const WRITTEN_AT_ONCE = 50;

export interface CallTableOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly state: StatePort;
  readonly sealer: Sealer;
  readonly tokens: Tokens;
  readonly bundles: Bundles;
  readonly serverName: string;
  readonly keepLostPhoneMs?: number;
  /** As `CallContext.mediaCapabilities`. */
  readonly mediaCapabilities?: () => readonly MediaCapability[] | undefined;
  /** False: running calls are not written, and die with this switch. */
  readonly checkpoints?: boolean;
  readonly log: Logger;
  /** The snapshot of that number, or the newest when it is no longer kept. */
  readonly snapshot: (account: AccountId, number: number | undefined) => DirectorySnapshot | undefined;
  /** The newest form of stored calls that we read. */
  readonly readsForm: number;
  readonly form: () => number;
  /** As `CheckpointOptions.unwritten`. */
  readonly unwritten?: () => Promise<void> | undefined;
  /** The call has ended; what is sent again is still answered. */
  readonly onOver: (call: RunningCall) => void;
  /** Nothing of it is left. */
  readonly onForgotten: (call: RunningCall) => void;
  /** Something happened to it. */
  readonly onStepped?: ((call: RunningCall) => void) | undefined;
  /** Its end is in the records and it is gone from the state. */
  readonly onKept?: ((call: RunningCall) => void) | undefined;
}

/**
 * The calls that this switch owns. Every event goes the same way: step, write the new call and its commands in one record under
 * our epoch, then carry the commands out. While a record is being written further events step the call on; their
 * commands follow with the next record. What is only asked within the zone is asked at once and not written: an adopter asks anew.
 */
export class CallTable {
  readonly #options: CallTableOptions;
  readonly #carrier: CallCarrier;
  readonly #calls = new Map<CallId, RunningCall>();
  readonly #bySipCallId = new Map<string, RunningCall[]>();
  readonly #byStream = new Map<StreamId, RunningCall>();
  readonly #checkpoints: Checkpoints;
  readonly #ended: Delay<RunningCall>;
  readonly #resting: Delay<RunningCall>;
  #live = 0;

  constructor(options: CallTableOptions, carrier: CallCarrier) {
    this.#options = options;
    this.#carrier = carrier;
    const { clock } = options;
    this.#checkpoints = new Checkpoints(
      {
        ...options,
        onLost: (running) => this.#forget(running),
        onDeleted: (running) => {
          options.onKept?.(running);
          this.#settle(running);
        },
      },
      carrier,
    );
    this.#ended = new Delay(clock, { delayMs: KEEP_ENDED_MS, sliceMs: 0.1 * KEEP_ENDED_MS }, (running) => {
      if (!running.deleted && this.#calls.get(running.id) === running) void this.#checkpoints.now(running);
    });
    this.#resting = new Delay(clock, { delayMs: REST_MS, sliceMs: 1_000 }, (running) =>
      this.#forget(running),
    );
  }

  get size(): number {
    return this.#calls.size;
  }

  /** Calls that have not ended. */
  get live(): number {
    return this.#live;
  }

  all(): Iterable<RunningCall> {
    return this.#calls.values();
  }

  get(id: CallId): RunningCall | undefined {
    return this.#calls.get(id);
  }

  find(message: SipMessage): RunningCall | undefined {
    const candidates = this.#bySipCallId.get(callIdOf(message) ?? '');
    return candidates?.findLast((running) => {
      const call = running.call ?? fromRest(running.resting);
      return call !== undefined && belongsTo(call, message);
    });
  }

  /** Resolves when the call's first record is written. */
  begin(
    newCall: NewCall,
    bundle: BundleId,
    snapshot: DirectorySnapshot,
  ): { running: RunningCall; written: Promise<void> } {
    const from = fromOf(newCall.invite);
    const running = this.#take({
      id: newCall.id,
      bundle,
      account: snapshot.account,
      directoryNumber: snapshot.number,
      index: callIndexId(callIdOf(newCall.invite) ?? '', (from && tagOf(from)) ?? ''),
      aheadMs: 0,
      key: this.#options.sealer.callKey(),
      call: undefined,
      streams: {},
    });
    const written = this.#apply(running, beginCall(newCall, this.#context(running)));
    return { running, written };
  }

  #take(call: CallIdentity & Pick<RunningCall, 'key' | 'call' | 'streams'>): RunningCall {
    const running: RunningCall = {
      ...call,
      resting: undefined,
      outbox: [],
      dirty: false,
      urgent: false,
      writing: Promise.resolve(),
      isWriting: false,
      unwritten: false,
      checkpointed: undefined,
      indexed: false,
      alarm: new Alarm(this.#options.clock, () => void this.handle(running, { type: 'wake' })),
      over: false,
      overMs: 0,
      deleted: false,
      sipCallIds: [],
    };
    this.#calls.set(running.id, running);
    this.#live++;
    this.#options.bundles.count(running.bundle, 1);
    return running;
  }

  /** Resolves when what follows from the event is written and carried out as far as it leaves this process. */
  handle(running: RunningCall, event: CallEvent): Promise<void> {
    if (running.resting !== undefined) {
      this.#disturb(running, running.resting, event);
      return Promise.resolve();
    }
    // What goes over to another owner must not change here any more; its adopter asks for every open answer again.
    if (running.call === undefined || this.#options.bundles.leaving(running.bundle)) return Promise.resolve();
    const before = running.call;
    const result = this.#step(running, before, event);
    if (result === undefined) return Promise.resolve();
    const { call, commands } = result;
    if (
      commands.length === 0 &&
      (call === before || (event.type === 'wake' && call?.state === before.state))
    ) {
      // What a wake leads to by itself, another's leads to as well.
      running.call = call;
      this.#arm(running, result.wakeAtMs);
      return Promise.resolve();
    }
    return this.#apply(running, result);
  }

  /** Something came again for a call that has ended. */
  #disturb(running: RunningCall, resting: Uint8Array, event: CallEvent): void {
    const call = event.type === 'message' ? fromRest(resting) : undefined;
    const epoch = this.#options.bundles.epochOf(running.bundle);
    if (call === undefined || epoch === undefined) return;
    const result = this.#step(running, call, event);
    if (result?.call !== undefined) running.resting = toRest(result.call);
    if (result !== undefined) this.#carrier.carryOut(running, result.commands, epoch);
  }

  /** A bug in the call's logic costs the event, never the process and the other calls in it. */
  #step(running: RunningCall, call: Call, event: CallEvent): Step<Call> | undefined {
    try {
      return step(call, event, this.#context(running));
    } catch (error) {
      const stack = error instanceof Error ? error.stack : String(error);
      this.#options.log.error({ call: running.id, event: event.type, error: stack }, 'call.step_failed');
      return undefined;
    }
  }

  onMediaEvent(event: MediaEvent, media: MediaId): void {
    if (event.type === 'adopted') {
      for (const stream of event.streams) this.streamMoved(stream, media);
      return;
    }
    if (event.type === 'lost') {
      this.streamsLost(event.streams);
      return;
    }
    const running = this.#byStream.get(event.stream);
    if (running === undefined) return;
    if (event.type === 'played' && event.outcome === 'failed')
      this.#options.log.warn(
        { call: running.id, stream: event.stream, problem: event.problem },
        'call.playback_failed',
      );
    const knew = isOneWay(running.call);
    void this.handle(running, { type: 'media-event', event });
    if (!knew && isOneWay(running.call))
      this.#options.log.warn({ call: running.id, stream: event.stream }, 'call.one_way');
  }

  streamMoved(stream: StreamId, media: MediaId): void {
    const running = this.#byStream.get(stream);
    if (running === undefined || running.streams[stream] === media) return;
    running.streams = { ...running.streams, [stream]: media };
    void this.#checkpoints.now(running);
  }

  /** Of calls that go on. */
  get openStreams(): StreamId[] {
    return [...this.#byStream].flatMap(([stream, { call }]) =>
      call?.legs.some(({ media }) => media.stream === stream && !media.closed) && call.end === undefined
        ? [stream]
        : [],
    );
  }

  /** No media process has them. */
  streamsLost(streams: readonly StreamId[]): void {
    const ofCalls = new Map<RunningCall, StreamId[]>();
    for (const stream of streams) {
      const running = this.#byStream.get(stream);
      if (running !== undefined) ofCalls.set(running, [...(ofCalls.get(running) ?? []), stream]);
    }
    for (const [running, lost] of ofCalls) void this.handle(running, { type: 'media-lost', streams: lost });
  }

  streamOpened(running: RunningCall, stream: StreamId, media: MediaId): void {
    if (running.streams[stream] !== media) running.streams = { ...running.streams, [stream]: media };
    // Of a call that ended meanwhile nothing is to be heard any more.
    if (running.call !== undefined) this.#byStream.set(stream, running);
  }

  /** Takes a call of a dead owner over: carries its last commands out again, then lets the call know. */
  async adopt(sealed: Uint8Array, bundle: BundleId, secret?: Uint8Array): Promise<void> {
    const stored = unpackCall(this.#options.sealer.open(sealed, secret), this.#options.readsForm);
    if (this.#calls.has(stored.call.id)) return;
    const running = this.#take({
      id: stored.call.id,
      bundle,
      account: stored.account,
      directoryNumber: stored.directoryNumber,
      index: stored.index,
      aheadMs: aheadOf(stored.clock, this.#options.clock),
      key: this.#options.sealer.keyOf(sealed, secret),
      call: stored.call,
      streams: { ...stored.streams },
    });
    for (const stream of Object.keys(running.streams)) this.#byStream.set(stream as StreamId, running);
    this.#index(running);
    const result = step(stored.call, { type: 'adopted' }, this.#context(running));
    await this.#apply(running, { ...result, commands: [...stored.outbox, ...result.commands] });
  }

  /**
   * The state may have lost what it had of us: every call is written again, and deleted again if it is over, some at a time so that phones
   * are served in between.
   */
  async writeAgain(): Promise<void> {
    const held = [...this.#calls.values()].filter(({ call, deleted }) => call !== undefined || deleted);
    for (let at = 0; at < held.length; at += WRITTEN_AT_ONCE) {
      await Promise.all(
        held.slice(at, at + WRITTEN_AT_ONCE).map((running) => {
          if (!this.#calls.has(running.id)) return undefined;
          if (running.deleted) return this.#checkpoints.deleteAgain(running);
          running.indexed = false;
          return this.#checkpoints.now(running);
        }),
      );
    }
  }

  /** Another owner has the bundle: forget its calls without a word to anyone. */
  dropBundle(bundle: BundleId): void {
    for (const running of [...this.#calls.values()]) {
      if (running.bundle !== bundle) continue;
      running.outbox = [];
      running.dirty = false;
      running.urgent = false;
      this.#forget(running);
    }
  }

  /**
   * Stops the bundle's calls where they are and forgets them, once all that happened in them is written and sent. Undefined when that
   * cannot be, because the state is away: then they go on.
   */
  async letGo(bundle: BundleId): Promise<{ calls: number; sipCallIds: string[] } | undefined> {
    const leaving = [...this.#calls.values()].filter((running) => running.bundle === bundle);
    for (const running of leaving) {
      running.alarm.set(undefined);
    }
    await Promise.all(
      leaving.map((running) => (running.dirty ? this.#checkpoints.now(running) : running.writing)),
    );
    if (leaving.some((running) => running.unwritten)) {
      this.#options.bundles.stay(bundle);
      for (const running of leaving) void this.handle(running, { type: 'adopted' });
      return undefined;
    }
    const calls = leaving.filter(({ over }) => !over).length;
    const sipCallIds = leaving.flatMap((running) => [...running.sipCallIds]);
    this.dropBundle(bundle);
    return { calls, sipCallIds };
  }

  #context(running: RunningCall): CallContext {
    const { clock, random, tokens, serverName, keepLostPhoneMs, snapshot } = this.#options;
    const found = snapshot(running.account, running.directoryNumber);
    if (found === undefined)
      throw new TwinlineError('no_directory', `no directory of account ${running.account}`);
    const mediaCapabilities = this.#options.mediaCapabilities?.();
    return {
      nowMs: clock.nowMs() + running.aheadMs,
      utcMs: clock.utcMs(),
      random,
      snapshot: found,
      token: tokens.mint(running.bundle),
      serverName,
      ...(mediaCapabilities !== undefined && { mediaCapabilities }),
      ...(keepLostPhoneMs !== undefined && { keepLostPhoneMs }),
    };
  }

  #apply(running: RunningCall, { call, commands, wakeAtMs }: Step<Call>): Promise<void> {
    running.call = call;
    if (call === undefined || call.state === 'ended') this.#over(running);
    this.#options.onStepped?.(running);
    const asked: CallCommand[] = [];
    let leaves = false;
    for (const command of commands) {
      if (isAsked(running, command)) asked.push(command);
      else {
        running.outbox.push(command);
        leaves ||= leavesZone(command);
      }
    }
    this.#index(running);
    this.#arm(running, wakeAtMs);
    const epoch = this.#options.bundles.epochOf(running.bundle);
    if (asked.length > 0 && epoch !== undefined) this.#carrier.carryOut(running, asked, epoch);
    return leaves || running.deleted ? this.#checkpoints.now(running) : this.#checkpoints.soon(running);
  }

  #index(running: RunningCall): void {
    if (running.resting !== undefined) return;
    const ids = running.call === undefined ? [] : sipCallIdsOf(running.call);
    const before = running.sipCallIds;
    if (ids.length === before.length && ids.every((id, at) => id === before[at])) return;
    for (const id of before) {
      if (ids.includes(id)) continue;
      const rest = (this.#bySipCallId.get(id) ?? []).filter((other) => other !== running);
      if (rest.length > 0) this.#bySipCallId.set(id, rest);
      else this.#bySipCallId.delete(id);
    }
    for (const id of ids) {
      if (before.includes(id)) continue;
      const others = this.#bySipCallId.get(id);
      if (others === undefined) this.#bySipCallId.set(detached(id), [running]);
      else others.push(running);
    }
    running.sipCallIds = ids;
  }

  #arm(running: RunningCall, wakeAtMs: number | undefined): void {
    const isSet = running.call !== undefined && wakeAtMs !== undefined;
    // Sums of clocks are rounded: woken a hair too early it would be woken again and again.
    const lateMs = running.aheadMs === 0 ? 0 : 1;
    running.alarm.set(isSet ? wakeAtMs - running.aheadMs + lateMs : undefined);
  }

  /** It is deleted in the state: what lingers takes as little room as can be. */
  #settle(running: RunningCall): void {
    const { call } = running;
    if (call === undefined) {
      if (running.resting === undefined) this.#forget(running);
      return;
    }
    if (call.state !== 'ended' || !isHeardByAll(call)) return;
    running.resting = toRest(call);
    running.call = undefined;
    running.alarm.set(undefined);
    this.#forgetStreams(running);
    this.#resting.add(running);
  }

  #forgetStreams(running: RunningCall): void {
    for (const stream of Object.keys(running.streams)) this.#byStream.delete(stream as StreamId);
    running.streams = {};
  }

  #forget(running: RunningCall): void {
    if (this.#calls.get(running.id) !== running) return;
    running.call = undefined;
    running.resting = undefined;
    this.#arm(running, undefined);
    this.#index(running);
    this.#forgetStreams(running);
    this.#calls.delete(running.id);
    running.checkpointed?.resolve();
    this.#over(running);
    this.#options.onForgotten(running);
  }

  #over(running: RunningCall): void {
    if (running.over) return;
    running.over = true;
    this.#live--;
    running.overMs = this.#options.clock.nowMs();
    this.#options.onOver(running);
    this.#ended.add(running);
  }
}

/** What needs no record: an adopter asks it anew. A stream that runs is changed together with what the phones are told. */
function isAsked({ streams }: RunningCall, command: CallCommand): boolean {
  return (
    command.type === 'find-bindings' ||
    (command.type === 'media-put' && streams[command.stream.id] === undefined)
  );
}

/** The id of a call's index entry: what an edge can read from a CANCEL, or from an INVITE that comes again. */
export function callIndexId(callId: string, fromTag: string): string {
  return `${callId} ${fromTag}`;
}

const isOneWay = (call: Call | undefined): boolean =>
  call?.legs.some(
    ({ unheardForMs, lostAudioForMs }) => unheardForMs !== undefined || lostAudioForMs !== undefined,
  ) === true;
