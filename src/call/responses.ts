import { unreachable } from '../base/index.ts';
import type { Flow } from '../link/index.ts';
import {
  type ClientTransaction,
  clientTransactionKey,
  receiveResponse,
  type SipResponse,
} from '../sip/index.ts';
import { deviceAnswers, repeatAck } from './answer.ts';
import { deviceProgresses } from './early-media.ts';
import { closeStreamOf, finishLeg } from './end.ts';
import { ask, follow, isKnownWay, judgeLater, leave } from './flow.ts';
import { renegotiated } from './hold.ts';
import { infoAnswered } from './info.ts';
import type { ClientRequest, Leg, ServerRequest } from './model.ts';
import { refreshed } from './refresh.ts';
import { mediaRenewed } from './renew-media.ts';
import { askAgain, deviceFailed } from './ring.ts';
import { takenUp } from './take-up.ts';
import { refusalBehind } from './warning.ts';
import { sendOutputs } from './wire.ts';
import type { Work } from './work.ts';

/** A response to a request of ours. One that fits none is dropped (RFC 3261 §18.1.2). */
export function receiveReply(work: Work, response: SipResponse, flow: Flow): void {
  const key = clientTransactionKey(response);
  for (const leg of work.call.legs) {
    const client = leg.clients.find(({ tx }) => tx.key === key);
    if (client === undefined) continue;
    // The branch is ours and secret enough, yet a stranger's answer to it shall not end a call.
    if (!isKnownWay(leg, flow)) {
      judgeLater(work, leg, response, flow);
      return;
    }
    follow(work, leg, flow);
    delete client.doubtAtMs;
    const isAccepted = client.tx.state === 'Accepted';
    const { tx, outputs } = receiveResponse<ClientTransaction>(client.tx, response, work.ctx.nowMs);
    // The INVITE is not sent again any more, and it holds keys: the ACKs are made without it.
    client.tx =
      tx.kind === 'invite-client' && (tx.state === 'Accepted' || tx.state === 'Completed')
        ? { ...tx, request: '' }
        : tx;
    sendOutputs(work, leg, outputs);
    if (!outputs.some(({ type }) => type === 'deliver')) return;
    // Of a first INVITE it may be another device's.
    if (isAccepted && client.purpose.kind !== 'invite') repeatAck(work, leg, client);
    else reply(work, leg, client, response);
    return;
  }
}

/** Nothing came in time, or the transport failed: as 408 (RFC 3261 §8.1.3.1). */
export function timedOut(work: Work, leg: Leg, client: ClientRequest): void {
  reply(work, leg, client, undefined);
}

function reply(work: Work, leg: Leg, client: ClientRequest, response: SipResponse | undefined): void {
  const { purpose } = client;
  switch (purpose.kind) {
    case 'invite':
      deviceReplies(work, leg, client, response);
      return;
    case 'relay': {
      const [asking, server] = askedBy(work, leg, purpose.server);
      if (client.method === 'INFO') infoAnswered(work, asking, server, response);
      else renegotiated(work, leg, client, asking, server, response);
      return;
    }
    case 'refresh':
      if (purpose.renews === true) mediaRenewed(work, leg, client, response);
      else refreshed(work, leg, client, response);
      return;
    case 'take-up':
      takenUp(work, leg, client, purpose.tries, response);
      return;
    case 'bye':
      // Whatever the answer, the dialog is over (RFC 3261 §15.1.1).
      if (response === undefined || response.status >= 200) finishLeg(leg);
      return;
    case 'done':
      return;
    default:
      unreachable(purpose);
  }
}

function deviceReplies(work: Work, leg: Leg, client: ClientRequest, response: SipResponse | undefined): void {
  if (response === undefined) {
    deviceEnds(work, leg, 408, 'the device did not answer at all');
  } else if (response.status < 200) {
    deviceProgresses(work, leg, client, response);
  } else if (response.status < 300) {
    deviceAnswers(work, leg, client, response);
  } else {
    const reason = `${response.status} ${response.reason}`.trim().slice(0, 64);
    deviceEnds(work, leg, response.status, refusalBehind(leg, response) ?? reason);
  }
}

/** A final failure: of a device that was asked, or the 487 that our CANCEL brought. */
function deviceEnds(work: Work, leg: Leg, status: number, reason: string): void {
  const wasCancelled = leg.state === 'ending' || leg.state === 'ended';
  if (!wasCancelled) {
    // RFC 5626 §5.3: the flow is dead, the phone may have another.
    if (status === 430 && leg.instanceId !== undefined && work.call.end === undefined) {
      leave(work, leg);
      ask(work, { why: 'find-flow', user: leg.user, leg: leg.id, refused: true });
      return;
    }
    if (status === 488) askAgain(work, leg);
    deviceFailed(work, leg, status, reason);
    return;
  }
  finishLeg(leg);
  if (work.call.end === undefined) closeStreamOf(work, leg);
}

function askedBy(work: Work, leg: Leg, key: string): readonly [Leg | undefined, ServerRequest | undefined] {
  for (const asking of work.call.legs) {
    if (asking === leg) continue;
    const server = asking.servers.find(({ tx }) => tx.key === key);
    if (server !== undefined) return [asking, server];
  }
  return [undefined, undefined];
}
