import { type AccountId, type LegId, type MediaId, type StreamId, TwinlineError } from '../base/index.ts';
import type { Call, CallCommand } from '../call/index.ts';
import type { CallClock } from './call-clock.ts';

/** How a call lies in the state: sealed, with what was to be done when it was written. */
export interface StoredCall {
  readonly call: Call;
  /** The commands of the steps since the record before: the adopter carries them out again. */
  readonly outbox: readonly CallCommand[];
  /** Which media process holds each stream. */
  readonly streams: Readonly<Record<StreamId, MediaId>>;
  readonly account: AccountId;
  readonly directoryNumber: number;
  /** Of what the call's times are. */
  readonly clock?: CallClock;
  /** Key of the `call-index` entry by which an edge that was started anew finds the bundle. */
  readonly index: string;
}

/**
 * Forms of a stored call: 1 has its commands as they are, 2 names the texts that lie in the call. A release reads the newest that it knows and
 * all before, and writes the newest that every switch of the pair reads: during an upgrade either release adopts what the other wrote.
 */
export const OLDEST_FORM = 1;
export const NEWEST_FORM = 2;

type Send = Extract<CallCommand, { type: 'send' }>;
type Leg = Call['legs'][number];

/** Nearly all that is sent over a leg's flow is kept in the leg as well, to be sent again: so it is named, not said twice. */
interface PackedSend extends Omit<Send, 'flow' | 'text'> {
  readonly leg: LegId;
  /** The leg's, if absent. */
  readonly flow?: Send['flow'];
  readonly text?: string;
  readonly same?: readonly [where: Kept, at: number];
}
type Kept = 'request' | 'ack' | 'response' | 'answer';
type PackedCommand = Exclude<CallCommand, Send> | PackedSend;

/** As it is sealed. */
export function packCall(stored: StoredCall, form: number): unknown {
  if (form < 2) return { v: OLDEST_FORM, ...stored };
  const { legs } = stored.call;
  return {
    v: 2,
    ...stored,
    outbox: stored.outbox.map((command) => (command.type === 'send' ? packSend(legs, command) : command)),
  };
}

/** Throws `call_unreadable` for what another release wrote in a form that this one does not know. */
export function unpackCall(value: unknown, newest: number = NEWEST_FORM): StoredCall {
  const { v, ...stored } = value as StoredCall & { v: number };
  if (!(v >= OLDEST_FORM && v <= newest))
    throw new TwinlineError(
      'call_unreadable',
      `the call was written in form ${v}, and this release reads forms ${OLDEST_FORM} to ${newest}: run the release that wrote it`,
    );
  if (v === 1) return stored;
  const { legs } = stored.call;
  const outbox = (stored.outbox as readonly PackedCommand[]).map((command) =>
    command.type === 'send' ? unpackSend(legs, command) : command,
  );
  return { ...stored, outbox };
}

function packSend(legs: readonly Leg[], { flow, text, ...send }: Send): PackedSend {
  const leg = legs.find(({ id }) => id === send.leg);
  const same = leg && findText(leg, text);
  return {
    ...send,
    ...(flow === leg?.flow ? {} : { flow }),
    ...(same === undefined ? { text } : { same }),
  };
}

function unpackSend(legs: readonly Leg[], { same, flow, text, ...send }: PackedSend): Send {
  const leg = legs.find(({ id }) => id === send.leg);
  const said = text ?? (leg && same && textAt(leg, ...same));
  const way = flow ?? leg?.flow;
  if (said === undefined || way === undefined)
    throw new TwinlineError(
      'call_unreadable',
      `a command names a text that leg ${send.leg} of its call has not`,
    );
  return { ...send, flow: way, text: said };
}

function findText({ clients, servers, answer }: Leg, text: string): PackedSend['same'] {
  if (answer?.text === text) return ['answer', 0];
  for (let at = clients.length - 1; at >= 0; at--) {
    if (clients[at]!.tx.request === text) return ['request', at];
    if (clients[at]!.ack === text) return ['ack', at];
  }
  for (let at = servers.length - 1; at >= 0; at--) {
    if (servers[at]!.tx.lastResponse === text) return ['response', at];
  }
  return undefined;
}

function textAt({ clients, servers, answer }: Leg, where: Kept, at: number): string | undefined {
  switch (where) {
    case 'answer':
      return answer?.text;
    case 'request':
      return clients[at]?.tx.request;
    case 'ack':
      return clients[at]?.ack;
    case 'response':
      return servers[at]?.tx.lastResponse;
    default:
      return undefined;
  }
}
