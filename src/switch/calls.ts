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
  type NewCall,
  type Step,
  sipCallIdsOf,
  step,
} from '../call/index.ts';
import type { DirectorySnapshot } from '../directory/index.ts';
import { CALL_INDEX_ACCOUNT } from '../link/index.ts';
import type { MediaEvent } from '../media/index.ts';
import { callIdOf, fromOf, type SipMessage, tagOf } from '../sip/index.ts';
import type { Sealer, StateKey, StatePort, Write } from '../state/index.ts';
import type { Bundles } from './bundles.ts';
import type { CallCarrier } from './carry-out.ts';
import type { CallIdentity, RunningCall, StoredCall } from './running-call.ts';

/** When the state cannot be reached, calls go on and their writing is tried again this often. */
const STATE_RETRY_MS = 500;
/** An ended call stays in the state until the phones have heard of it, but its key no longer than five seconds (TR-MEDIA-10). */
const KEEP_ENDED_MS = 4_000;

export interface CallTableOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly state: StatePort;
  readonly sealer: Sealer;
  readonly tokens: Tokens;
  readonly bundles: Bundles;
  readonly serverName: string;
  readonly log: Logger;
  /** The snapshot of that number, or the newest when it is no longer kept. */
  readonly snapshot: (account: AccountId, number: number | undefined) => DirectorySnapshot | undefined;
  /** The call has ended; what is sent again is still answered. */
  readonly onOver: (call: RunningCall) => void;
  /** Nothing of it is left. */
  readonly onForgotten: (call: RunningCall) => void;
}

/**
 * The calls that this switch owns. Every event goes the same way: step, write the new call and its commands in one record under
 * our epoch, then carry the commands out. While a record is being written further events step the call on; their
 * commands follow with the next record.
 */
export class CallTable {
  readonly #options: CallTableOptions;
  readonly #carrier: CallCarrier;
  readonly #calls = new Map<CallId, RunningCall>();
  readonly #bySipCallId = new Map<string, RunningCall[]>();
  readonly #byStream = new Map<StreamId, RunningCall>();

  constructor(options: CallTableOptions, carrier: CallCarrier) {
    this.#options = options;
    this.#carrier = carrier;
  }

  get size(): number {
    return this.#calls.size;
  }

  /** Calls that have not ended. */
  get live(): number {
    let live = 0;
    for (const { over } of this.#calls.values()) if (!over) live++;
    return live;
  }

  all(): Iterable<RunningCall> {
    return this.#calls.values();
  }

  get(id: CallId): RunningCall | undefined {
    return this.#calls.get(id);
  }

  find(message: SipMessage): RunningCall | undefined {
    const candidates = this.#bySipCallId.get(callIdOf(message) ?? '');
    return candidates?.findLast((running) => running.call !== undefined && belongsTo(running.call, message));
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
      key: this.#options.sealer.callKey(),
      call: undefined,
      streams: {},
    });
    const written = this.#apply(running, beginCall(newCall, this.#context(running)), true);
    return { running, written };
  }

  #take(call: CallIdentity & Pick<RunningCall, 'key' | 'call' | 'streams'>): RunningCall {
    const running: RunningCall = {
      ...call,
      outbox: [],
      dirty: false,
      writing: Promise.resolve(),
      isWriting: false,
      unwritten: false,
      timer: undefined,
      over: false,
      overMs: 0,
      deleted: false,
      sipCallIds: [],
    };
    this.#calls.set(running.id, running);
    this.#options.bundles.count(running.bundle, 1);
    return running;
  }

  /** Resolves when what follows from the event is written and carried out as far as it leaves this process. */
  handle(running: RunningCall, event: CallEvent): Promise<void> {
    // What goes over to another owner must not change here any more; its adopter asks for every open answer again.
    if (running.call === undefined || this.#options.bundles.leaving(running.bundle)) return Promise.resolve();
    const before = running.call;
    const result = this.#step(running, before, event);
    if (result === undefined) return Promise.resolve();
    if (event.type !== 'wake' && result.call === before && result.commands.length === 0) {
      this.#arm(running, result.wakeAtMs);
      return Promise.resolve();
    }
    return this.#apply(running, result, result.call !== before || result.commands.length > 0);
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
      for (const stream of event.streams) {
        const running = this.#byStream.get(stream);
        if (running === undefined || running.streams[stream] === media) continue;
        running.streams = { ...running.streams, [stream]: media };
        running.dirty = true;
        void this.#write(running);
      }
      return;
    }
    const running = this.#byStream.get(event.stream);
    if (running !== undefined) void this.handle(running, { type: 'media-event', event });
  }

  streamOpened(running: RunningCall, stream: StreamId, media: MediaId): void {
    if (running.streams[stream] !== media) running.streams = { ...running.streams, [stream]: media };
    this.#byStream.set(stream, running);
  }

  /** Takes a call of a dead owner over: carries its last commands out again, then lets the call know. */
  async adopt(sealed: Uint8Array, bundle: BundleId): Promise<void> {
    const stored = this.#options.sealer.open(sealed) as StoredCall;
    if (this.#calls.has(stored.call.id)) return;
    const running = this.#take({
      id: stored.call.id,
      bundle,
      account: stored.account,
      directoryNumber: stored.directoryNumber,
      index: stored.index,
      key: this.#options.sealer.keyOf(sealed),
      call: stored.call,
      streams: { ...stored.streams },
    });
    for (const stream of Object.keys(running.streams)) this.#byStream.set(stream as StreamId, running);
    this.#index(running);
    const result = step(stored.call, { type: 'adopted' }, this.#context(running));
    await this.#apply(running, { ...result, commands: [...stored.outbox, ...result.commands] }, true);
  }

  /** Another owner has the bundle: forget its calls without a word to anyone. */
  dropBundle(bundle: BundleId): void {
    for (const running of [...this.#calls.values()]) {
      if (running.bundle !== bundle) continue;
      running.outbox = [];
      running.dirty = false;
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
      running.timer?.cancel();
      running.timer = undefined;
    }
    await Promise.all(leaving.map((running) => (running.dirty ? this.#write(running) : running.writing)));
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
    const { clock, random, tokens, serverName, snapshot } = this.#options;
    const found = snapshot(running.account, running.directoryNumber);
    if (found === undefined)
      throw new TwinlineError('no_directory', `no directory of account ${running.account}`);
    return {
      nowMs: clock.nowMs(),
      utcMs: clock.utcMs(),
      random,
      snapshot: found,
      token: tokens.mint(running.bundle),
      serverName,
    };
  }

  #apply(running: RunningCall, result: Step<Call>, changed: boolean): Promise<void> {
    running.call = result.call;
    if (result.call === undefined || result.call.state === 'ended') this.#over(running);
    running.outbox.push(...result.commands);
    if (changed) running.dirty = true;
    this.#index(running);
    this.#arm(running, result.wakeAtMs);
    return changed ? this.#write(running) : Promise.resolve();
  }

  #index(running: RunningCall): void {
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
      this.#bySipCallId.set(id, [...(this.#bySipCallId.get(id) ?? []), running]);
    }
    running.sipCallIds = ids;
  }

  #arm(running: RunningCall, wakeAtMs: number | undefined): void {
    running.timer?.cancel();
    running.timer = undefined;
    if (wakeAtMs === undefined || running.call === undefined) return;
    running.timer = this.#options.clock.after(Math.max(0, wakeAtMs - this.#options.clock.nowMs()), () => {
      running.timer = undefined;
      void this.handle(running, { type: 'wake' });
    });
  }

  #write(running: RunningCall): Promise<void> {
    if (!running.isWriting) running.writing = this.#writeAll(running);
    return running.writing;
  }

  async #writeAll(running: RunningCall): Promise<void> {
    running.isWriting = true;
    try {
      // Left and marked as left in one breath: whoever makes the call dirty afterwards begins anew.
      while (running.dirty) {
        if (!(await this.#writeOnce(running))) return;
      }
    } finally {
      running.isWriting = false;
    }
  }

  /** False when the call is not ours any more. */
  async #writeOnce(running: RunningCall): Promise<boolean> {
    running.dirty = false;
    const commands = running.outbox;
    running.outbox = [];
    const epoch = this.#options.bundles.epochOf(running.bundle);
    if (epoch === undefined) {
      this.#forget(running);
      return false;
    }
    const ended = this.#isToBeDeleted(running);
    if (ended && running.deleted) {
      this.#carrier.carryOut(running, commands, epoch);
      if (running.call === undefined) this.#forget(running);
      return true;
    }
    // A record must not be lost between the next write of its call, which forgets the command, and its own writing.
    if (ended) await this.#carrier.keepRecords(running, commands);
    let written = false;
    try {
      await this.#options.state.commit(this.#writes(running, commands, ended), {
        durability: 'volatile',
        fence: { bundle: running.bundle, epoch },
      });
      written = true;
      running.unwritten = false;
    } catch (error) {
      if (error instanceof TwinlineError && error.code === 'fenced') {
        this.#options.log.warn({ call: running.id, bundle: running.bundle }, 'call.fenced');
        this.#forget(running);
        return false;
      }
      // The state is away: owners go on, nobody adopts. Written again when it is back.
      running.unwritten = true;
      this.#options.log.error({ call: running.id, error: String(error) }, 'call.not_written');
      this.#options.clock.after(STATE_RETRY_MS, () => {
        running.dirty = true;
        void this.#write(running);
      });
    }
    // Erased only after a deletion that our epoch allowed: an adopter's copy needs the key (TR-MEDIA-10).
    if (ended && written) {
      running.deleted = true;
      this.#options.sealer.erase(running.key);
    }
    this.#carrier.carryOut(running, commands, epoch);
    if (!ended) await this.#carrier.keepRecords(running, commands);
    if (running.deleted && running.call === undefined && !running.dirty) this.#forget(running);
    return true;
  }

  #isToBeDeleted({ over, overMs, call, deleted }: RunningCall): boolean {
    if (deleted || call === undefined) return true;
    return over && (isHeardByAll(call) || this.#options.clock.nowMs() - overMs >= KEEP_ENDED_MS);
  }

  #writes(running: RunningCall, outbox: readonly CallCommand[], ended: boolean): Write[] {
    const call: StateKey = { account: running.account, kind: 'call', id: `${running.bundle}/${running.id}` };
    const index: StateKey = { account: CALL_INDEX_ACCOUNT, kind: 'call-index', id: running.index };
    if (ended || running.call === undefined) {
      return [
        { op: 'delete', key: call },
        { op: 'delete', key: index },
      ];
    }
    const stored: StoredCall = {
      v: 1,
      call: running.call,
      outbox,
      streams: running.streams,
      account: running.account,
      directoryNumber: running.directoryNumber,
      index: running.index,
    };
    // With a time given the engine need not look at the version before: in calls the epoch decides, and under one epoch the last write.
    const updatedUtcMs = this.#options.clock.utcMs();
    const value = this.#options.sealer.seal(stored, running.key);
    const writes: Write[] = [{ op: 'put', key: call, value, updatedUtcMs }];
    if (!this.#indexed.has(running)) {
      this.#indexed.add(running);
      writes.push({ op: 'put', key: index, value: running.bundle, updatedUtcMs });
    }
    return writes;
  }

  /** Calls whose index entry is written: it never changes. */
  readonly #indexed = new WeakSet<RunningCall>();

  #forget(running: RunningCall): void {
    if (this.#calls.get(running.id) !== running) return;
    running.call = undefined;
    this.#arm(running, undefined);
    this.#index(running);
    for (const stream of Object.keys(running.streams)) this.#byStream.delete(stream as StreamId);
    this.#calls.delete(running.id);
    this.#over(running);
    this.#options.onForgotten(running);
  }

  #over(running: RunningCall): void {
    if (running.over) return;
    running.over = true;
    running.overMs = this.#options.clock.nowMs();
    this.#options.onOver(running);
    this.#options.clock.after(KEEP_ENDED_MS, () => {
      if (running.deleted || this.#calls.get(running.id) !== running) return;
      running.dirty = true;
      void this.#write(running);
    });
  }
}

/** The id of a call's index entry: what an edge can read from a CANCEL, or from an INVITE that comes again. */
export function callIndexId(callId: string, fromTag: string): string {
  return `${callId} ${fromTag}`;
}
