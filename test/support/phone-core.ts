import { type Clock, type Random, randomText } from '../../src/base/index.ts';
import type { SipHeader, SipRequest, SipResponse } from '../../src/sip/index.ts';
import type { PhoneTransactions } from './phone-transactions.ts';
import type { PhoneFlow } from './phone-transport.ts';
import type { PhoneMedia, PhoneOptions } from './phone-types.ts';

/** What a call may ask of its phone. */
export interface PhoneCore {
  readonly options: PhoneOptions;
  readonly clock: Clock;
  readonly random: Random;
  readonly transactions: PhoneTransactions;
  readonly waitMs: number;
  /** What the log says of this phone's messages with that Call-ID, for people. */
  told(callId: string): readonly string[];
  /** A new Via value for a request over the flow. */
  via(flow: PhoneFlow): string;
  contact(flow: PhoneFlow): string;
  /** A flow for a request to that URI. */
  flowFor(uri: string): Promise<PhoneFlow>;
  /** Headers of every INVITE, UPDATE and their 2xx. */
  capabilities(): readonly SipHeader[];
  newMedia(): Promise<PhoneMedia>;
  /** The request with credentials and another CSeq and branch, or undefined if the challenge cannot be answered (again). */
  authorize(
    request: SipRequest,
    challenge: SipResponse,
    flow: PhoneFlow,
    cseq: number,
  ): SipRequest | undefined;
}

export const newTag = (random: Random): string => randomText(random, 12);
