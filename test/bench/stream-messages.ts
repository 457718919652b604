import type { SrtpSuite } from '../../src/sdp/index.ts';

/** What the bench tells its sender process. Streams are named by their place. */
export type StreamOrder =
  | { readonly do: 'open'; readonly streams: number; readonly suite?: SrtpSuite }
  | {
      readonly do: 'connect';
      readonly at: number;
      readonly port: number;
      readonly address: string;
      readonly keySalt?: string;
    }
  | { readonly do: 'send' }
  /** Begins the counts, gaps and delays anew. */
  | { readonly do: 'mark' }
  /** What is on its way still counts as received. */
  | { readonly do: 'silence' }
  | { readonly do: 'report' }
  | { readonly do: 'close' };

export type StreamEvent =
  | { readonly event: 'ready' }
  | {
      readonly event: 'opened';
      readonly streams: readonly { readonly port: number; readonly keySalt?: string }[];
    }
  | ({ readonly event: 'report' } & StreamReport);

export interface StreamReport {
  readonly sent: number;
  readonly received: number;
  /** That could not be decrypted or were none of ours. */
  readonly refused: number;
  readonly streams: readonly {
    readonly received: number;
    /** Between two packets since the mark, the time since the last one included. */
    readonly longestGapMs: number;
  }[];
  /** From sending to receiving, over the server. */
  readonly delayMs: { readonly p50: number; readonly p99: number; readonly worst: number };
  /** The same from the sender to itself, without a server: to be taken off. */
  readonly directMs: { readonly p50: number; readonly p99: number; readonly worst: number };
  /** The longest time for which the sender itself did not look: gaps up to this may be its own. */
  readonly longestPauseMs: number;
}

export const PACKET_MS = 20;
