import type { MediaId, StreamId } from '../base/index.ts';
import type { ExactState } from './exact.ts';
import type { BundleEpoch } from './protocol.ts';
import type { Progress, StreamRecord, StreamState } from './record.ts';

/** What the owner of streams says to the process that stands by for it. One message each, JSON; descriptors ride along. */
export type OwnerSays =
  | {
      readonly kind: 'hello';
      readonly version: 1;
      readonly id: MediaId;
      readonly pid: number;
      readonly startTime: number;
      /** The sender's clock now; absent from older releases. */
      readonly nowMs?: number;
    }
  /** The whole stream; with the descriptors of its RTP and RTCP sockets when it is new to the stand-by. `ack` asks for an answer. */
  | { readonly kind: 'put'; readonly record: StreamRecord; readonly ack: number }
  | { readonly kind: 'state'; readonly stream: StreamId; readonly state: StreamState }
  | { readonly kind: 'progress'; readonly streams: readonly Progress[] }
  /** The highest epochs that switches said. */
  | { readonly kind: 'epochs'; readonly epochs: readonly BundleEpoch[] }
  /** Would you take streams over now? Answered by `ack`, or not at all. */
  | { readonly kind: 'ready'; readonly ack: number }
  /** The sender has stopped serving the stream: this is where it stands. `hand-over` follows. */
  | {
      readonly kind: 'exact';
      readonly stream: StreamId;
      readonly state: StreamState;
      readonly exact: ExactState;
    }
  /** These streams are the receiver's from now on. Answered by `taken`. */
  | { readonly kind: 'hand-over'; readonly ack: number; readonly streams: readonly StreamId[] }
  | { readonly kind: 'closed'; readonly streams: readonly StreamId[] }
  /** The last word of a process that stops on purpose: it reads its sockets no more. */
  | { readonly kind: 'leaving'; readonly handOver: boolean };

export type StandBySays =
  | { readonly kind: 'ack'; readonly ack: number }
  /** Those of a `hand-over` that are served here now; the others are the sender's as before. */
  | { readonly kind: 'taken'; readonly ack: number; readonly streams: readonly StreamId[] };

export const encode = (message: OwnerSays | StandBySays): Buffer => Buffer.from(JSON.stringify(message));

/** The peer is our own program under our own user: its messages are trusted, but those of another version may not even parse. */
export function decode<Message extends OwnerSays | StandBySays>(bytes: Buffer): Message | undefined {
  try {
    const message: unknown = JSON.parse(bytes.toString());
    if (typeof message !== 'object' || message === null || !('kind' in message)) return undefined;
    return message as Message;
  } catch {
    return undefined;
  }
}
