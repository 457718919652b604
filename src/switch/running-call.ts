import type { AccountId, BundleId, CallId, MediaId, StreamId } from '../base/index.ts';
import type { Call, CallCommand } from '../call/index.ts';
import type { CallKey } from '../state/index.ts';
import type { Alarm } from './alarm.ts';

/** What never changes of a call in its owner's hands. */
export interface CallIdentity {
  readonly id: CallId;
  readonly bundle: BundleId;
  readonly account: AccountId;
  readonly directoryNumber: number;
  readonly index: string;
  /** What its own time is ahead of this machine's `nowMs`: it began on another machine (`call-clock.ts`). */
  readonly aheadMs: number;
}

/** A running call in this switch: its value, what waits to be written, and the timer that wakes it. */
export interface RunningCall extends CallIdentity {
  /** Of this call alone; wrapped by the pair's key it lies beside what it encrypts. */
  readonly key: CallKey;
  /** Undefined when nothing is left to remember and the record is to be deleted, or when the call rests. */
  call: Call | undefined;
  /** The call as bytes, once it has ended and everybody knows: for what phones send again. */
  resting: Uint8Array | undefined;
  streams: Record<StreamId, MediaId>;
  outbox: CallCommand[];
  /** Its record in the state is behind. */
  dirty: boolean;
  /** Something that leaves the zone waits for the next record. */
  urgent: boolean;
  /** Resolves when all that is urgent is written. */
  writing: Promise<void>;
  isWriting: boolean;
  /** The state was away when it was last to be written. */
  unwritten: boolean;
  /** Of those who wait for the next record, whenever it is written. */
  checkpointed: Checkpointed | undefined;
  /** Its entry in the call index, which never changes, is written. */
  indexed: boolean;
  /** Wakes the call. */
  readonly alarm: Alarm;
  /**
   * It has ended, and lingers here for what is sent again (32 s over UDP): it takes no one's room any more. Once every phone has heard
   * of the end an adopter need not know it: its 481 ends a repeated BYE as well as a 200.
   */
  over: boolean;
  /** When it was over. */
  overMs: number;
  /** Its record and key are gone from the state (TR-MEDIA-10: within 5 s of the end). */
  deleted: boolean;
  sipCallIds: readonly string[];
}

export interface Checkpointed {
  readonly promise: Promise<void>;
  readonly resolve: () => void;
}
