import { type Clock, deferred, type Logger, TwinlineError } from '../base/index.ts';
import { type CallCommand, isHeardByAll } from '../call/index.ts';
import { CALL_INDEX_ACCOUNT } from '../link/index.ts';
import type { Sealer, StateKey, StatePort, Write } from '../state/index.ts';
import type { Bundles } from './bundles.ts';
import { callClock } from './call-clock.ts';
import type { CallCarrier } from './carry-out.ts';
import type { RunningCall } from './running-call.ts';
import { packCall } from './stored-call.ts';

/** When the state cannot be reached, calls go on and their writing is tried again this often. */
const STATE_RETRY_MS = 500;
/** An ended call stays in the state until the phones have heard of it, but its key no longer than five seconds (TR-MEDIA-10). */
export const KEEP_ENDED_MS = 4_000;
/**
 * What does not leave the zone waits this long for something that does. Also 100 Trying, which RFC 3261 §17.2.1 wants within 200 ms. The
 * edge keeps the frames until then.
 */
const LATE_MS = 100;

export interface CheckpointOptions {
  readonly clock: Clock;
  readonly state: StatePort;
  readonly sealer: Sealer;
  readonly bundles: Bundles;
  readonly log: Logger;
  /** Default true. */
  readonly checkpoints?: boolean;
  /** In which form calls are written now: one that whoever may adopt them reads. */
  readonly form: () => number;
  /**
   * What could not be written leaves when this resolves; at once where it is undefined. With a twin on another machine that is when somebody
   * has said since that it does not adopt: it would go on from an older record.
   */
  readonly unwritten?: () => Promise<void> | undefined;
  /** The call is not ours any more. */
  readonly onLost: (running: RunningCall) => void;
  /** Nothing of it is in the state any more, nor waits to be carried out. */
  readonly onDeleted: (running: RunningCall) => void;
}

/** Writes calls to the state, each with its commands, and has the commands carried out once they are written. */
export class Checkpoints {
  readonly #options: CheckpointOptions;
  readonly #carrier: CallCarrier;
  readonly #late = new Set<RunningCall>();
  #lateTimerRuns = false;

  constructor(options: CheckpointOptions, carrier: CallCarrier) {
    this.#options = options;
    this.#carrier = carrier;
  }

  /** Resolves when all that the call has come to is written, and its commands are carried out as far as they leave this process. */
  now(running: RunningCall): Promise<void> {
    running.dirty = true;
    running.urgent = true;
    if (!running.isWriting) running.writing = this.#writeAll(running);
    return running.writing;
  }

  /** The same, but it may wait a little for what follows: one record for several steps. */
  soon(running: RunningCall): Promise<void> {
    running.dirty = true;
    this.#late.add(running);
    if (!this.#lateTimerRuns) {
      this.#lateTimerRuns = true;
      this.#options.clock.after(LATE_MS, () => this.#writeLate());
    }
    running.checkpointed ??= deferred();
    return running.checkpointed.promise;
  }

  #writeLate(): void {
    this.#lateTimerRuns = false;
    const late = [...this.#late];
    this.#late.clear();
    for (const running of late) if (running.dirty) void this.now(running);
  }

  async #writeAll(running: RunningCall): Promise<void> {
    running.isWriting = true;
    try {
      // Left and marked as left in one breath: whoever makes the call urgent afterwards begins anew.
      while (running.urgent) {
        const { checkpointed } = running;
        running.checkpointed = undefined;
        const goesOn = await this.#writeOnce(running);
        checkpointed?.resolve();
        if (!goesOn) return;
      }
    } finally {
      running.isWriting = false;
    }
  }

  /** False when the call is not ours any more. */
  async #writeOnce(running: RunningCall): Promise<boolean> {
    running.dirty = false;
    running.urgent = false;
    const commands = running.outbox;
    running.outbox = [];
    const epoch = this.#options.bundles.epochOf(running.bundle);
    if (epoch === undefined) {
      this.#options.onLost(running);
      return false;
    }
    const ended = this.isToBeDeleted(running);
    if (ended && running.deleted) {
      this.#carrier.carryOut(running, commands, epoch);
      if (!running.dirty) this.#options.onDeleted(running);
      return true;
    }
    // A record must not be lost between the next write of its call, which forgets the command, and its own writing.
    if (ended) await this.#carrier.keepRecords(running, commands);
    let written = false;
    try {
      if (this.#options.checkpoints !== false)
        await this.#options.state.commit(this.#writes(running, commands, ended), {
          durability: 'volatile',
          fence: { bundle: running.bundle, epoch },
        });
      written = true;
      running.unwritten = false;
    } catch (error) {
      if (error instanceof TwinlineError && error.code === 'fenced') {
        this.#options.log.warn({ call: running.id, bundle: running.bundle }, 'call.fenced');
        this.#options.onLost(running);
        return false;
      }
      // The state is away: owners go on, nobody adopts. Written again when it is back.
      running.unwritten = true;
      this.#options.log.error({ call: running.id, error: String(error) }, 'call.not_written');
      this.#options.clock.after(STATE_RETRY_MS, () => void this.now(running));
      await this.#options.unwritten?.();
      if (this.#options.bundles.epochOf(running.bundle) !== epoch) {
        this.#options.onLost(running);
        return false;
      }
    }
    // Erased only after a deletion that our epoch allowed: an adopter's copy needs the key (TR-MEDIA-10).
    if (ended && written) {
      running.deleted = true;
      this.#options.sealer.erase(running.key);
    }
    this.#carrier.carryOut(running, commands, epoch);
    if (!ended) await this.#carrier.keepRecords(running, commands);
    if (running.deleted && !running.dirty) this.#options.onDeleted(running);
    return true;
  }

  /** The state may have the record back, and an adopter that finds it would go on with a call that is over. */
  async deleteAgain(running: RunningCall): Promise<void> {
    const { state, bundles, log } = this.#options;
    const epoch = bundles.epochOf(running.bundle);
    if (epoch === undefined) return;
    const fence = { bundle: running.bundle, epoch };
    await state
      .commit(this.#writes(running, [], true), { durability: 'volatile', fence })
      .catch((error: unknown) =>
        log.warn({ call: running.id, error: String(error) }, 'call.not_deleted_again'),
      );
  }

  isToBeDeleted({ over, overMs, call, deleted }: RunningCall): boolean {
    if (deleted || call === undefined) return true;
    return over && (isHeardByAll(call) || this.#options.clock.nowMs() - overMs >= KEEP_ENDED_MS);
  }

  #writes(running: RunningCall, outbox: readonly CallCommand[], ended: boolean): Write[] {
    const call: StateKey = { account: running.account, kind: 'call', id: `${running.bundle}/${running.id}` };
    const secret: StateKey = { ...call, kind: 'call-key' };
    const index: StateKey = { account: CALL_INDEX_ACCOUNT, kind: 'call-index', id: running.index };
    // With a time given the engine need not look at the version before: in calls the epoch decides, and under one epoch the last write.
    const updatedUtcMs = this.#options.clock.utcMs();
    if (ended || running.call === undefined) {
      return [
        { op: 'delete', key: call, updatedUtcMs },
        { op: 'delete', key: index, updatedUtcMs },
        ...(running.key.secret ? [{ op: 'delete', key: secret, updatedUtcMs } as const] : []),
      ];
    }
    const stored = packCall(
      {
        call: running.call,
        outbox,
        streams: running.streams,
        account: running.account,
        directoryNumber: running.directoryNumber,
        index: running.index,
        clock: callClock(this.#options.clock, running.aheadMs),
      },
      this.#options.form(),
    );
    const value = this.#options.sealer.seal(stored, running.key);
    const writes: Write[] = [{ op: 'put', key: call, value, updatedUtcMs }];
    if (!running.indexed) {
      running.indexed = true;
      writes.push({ op: 'put', key: index, value: running.bundle, updatedUtcMs });
      if (running.key.secret)
        writes.push({ op: 'put', key: secret, value: running.key.secret, updatedUtcMs });
    }
    return writes;
  }
}
