import type { Flow } from '../link/index.ts';
import {
  cseqOf,
  fromOf,
  receiveInDialog,
  receiveRequest,
  type ServerTransaction,
  type SipRequest,
  serverTransactionKey,
  tagOf,
  tokensOf,
  toOf,
} from '../sip/index.ts';
import { acknowledged, pracked } from './answer.ts';
import { hungUp } from './bye.ts';
import { cancelled } from './cancel.ts';
import { follow, isKnownWay, judgeLater } from './flow.ts';
import { ALLOW, KNOWN_METHODS, supportedOn, UNDERSTOOD } from './headers.ts';
import { renegotiate } from './hold.ts';
import { relayInfo } from './info.ts';
import type { Leg, ServerRequest } from './model.ts';
import { refer } from './transfer.ts';
import { admit, answerRequest, answerWithoutTransaction, openInvite, sendOutputs } from './wire.ts';
import { callerLeg, invitingLeg, type Work } from './work.ts';

/** A request that came for this call: again, for an open transaction, in a dialog, or for none. */
export function receive(work: Work, request: SipRequest, flow: Flow): void {
  const key = serverTransactionKey(request);
  for (const leg of work.call.legs) {
    const server = leg.servers.find(({ tx }) => tx.key === key);
    if (server === undefined) continue;
    if (!isKnownWay(leg, flow)) {
      judgeLater(work, leg, request, flow);
      return;
    }
    follow(work, leg, flow);
    receiveAgain(work, leg, server, request);
    return;
  }
  const toTag = tagOf(toOf(request));
  if (toTag === undefined) {
    receiveWithoutDialog(work, request, flow);
    return;
  }
  const leg = work.call.legs.find(({ localTag }) => localTag === toTag);
  if (leg === undefined) answerWithoutTransaction(work, callerLeg(work.call), request, flow, 481);
  else if (isKnownWay(leg, flow)) receiveInLeg(work, leg, request, flow);
  else if (!judgeLater(work, leg, request, flow)) refuseStranger(work, leg, request, flow);
}

/** A request of somebody who is not the leg's phone, as far as we know. */
export function refuseStranger(work: Work, leg: Leg, request: SipRequest, flow: Flow): void {
  if (tagOf(toOf(request)) !== undefined) answerWithoutTransaction(work, leg, request, flow, 403);
  else answerWithoutTransaction(work, leg, request, flow, request.method === 'INVITE' ? 482 : 481);
}

function receiveAgain(work: Work, leg: Leg, server: ServerRequest, request: SipRequest): void {
  const { tx, outputs } = receiveRequest<ServerTransaction>(server.tx, request, work.ctx.nowMs);
  server.tx = tx;
  sendOutputs(work, leg, outputs, server.remote);
  // An ACK under its INVITE's branch, as some phones send it for a 2xx too.
  if (outputs.some(({ type }) => type === 'deliver') && request.method === 'ACK') {
    acknowledged(work, leg, request, cseqOf(request)?.seq ?? 0);
  }
}

function receiveWithoutDialog(work: Work, request: SipRequest, flow: Flow): void {
  const leg = invitingLeg(work.call);
  if (!isKnownWay(leg, flow)) {
    if (!judgeLater(work, leg, request, flow)) refuseStranger(work, leg, request, flow);
    return;
  }
  if (renewInvite(work, leg, request, flow)) return;
  if (request.method === 'CANCEL') {
    const server = admit(leg, request, flow, cseqOf(request)?.seq ?? 0);
    if (server !== undefined) cancelled(work, leg, server, request);
    return;
  }
  // RFC 3261 §8.2.2.2: the same request by another way (another branch) is a loop or a fork that met itself.
  const merged = request.method === 'INVITE' && tagOf(fromOf(request)) === leg.remoteTag;
  answerWithoutTransaction(work, leg, request, flow, merged ? 482 : 481);
}

/**
 * The caller's INVITE of another branch over another flow, while the first waits: not a loop (RFC 3261 §8.2.2.2) but a phone that lost its
 * first flow and turns to the next server (RFC 3263 §4.3). The new transaction takes the place of the old one. False when it is none.
 */
export function renewInvite(work: Work, leg: Leg, request: SipRequest, flow: Flow): boolean {
  const isAgain =
    leg.role === 'caller' &&
    request.method === 'INVITE' &&
    tagOf(toOf(request)) === undefined &&
    tagOf(fromOf(request)) === leg.remoteTag;
  const hasMoved = leg.lost !== undefined || leg.formerFlow !== undefined || flow.id !== leg.flow.id;
  if (!isAgain || !hasMoved) return false;
  const key = serverTransactionKey(request);
  if (leg.servers.some(({ tx }) => tx.key === key)) return false;
  const before = openInvite(leg);
  if (before === undefined) return false;
  const server = admit(leg, request, flow, cseqOf(request)?.seq ?? 0);
  if (server === undefined) return false;
  leg.servers = leg.servers.filter((one) => one !== before);
  follow(work, leg, flow);
  answerRequest(work, leg, server, 100);
  // Early media, if there was any, goes on by itself; the phone only has to know that it rings.
  if (leg.state === 'ringing') answerRequest(work, leg, server, 180);
  return true;
}

/** A request with the tag of one of our legs, by a way that is the leg's. */
export function receiveInLeg(work: Work, leg: Leg, request: SipRequest, flow: Flow): void {
  const cseq = cseqOf(request)?.seq ?? 0;
  follow(work, leg, flow);
  if (request.method === 'ACK') {
    acknowledged(work, leg, request, cseq);
    return;
  }
  const server = admit(leg, request, flow, cseq);
  if (server === undefined) {
    answerWithoutTransaction(work, leg, request, flow, 503);
    return;
  }
  if (request.method === 'CANCEL') {
    cancelled(work, leg, server, request);
    return;
  }
  // BYE crossed ours: both ends of a call that is over are content (RFC 3261 §15).
  if (leg.state === 'ending' && request.method === 'BYE') {
    hungUp(work, leg, server, request);
    return;
  }
  const outcome = leg.dialog && receiveInDialog(leg.dialog, request);
  if (outcome?.type !== 'accepted') {
    answerRequest(work, leg, server, outcome?.type === 'out-of-order' ? 500 : 481);
    return;
  }
  if (leg.state === 'ending' || leg.state === 'ended') {
    answerRequest(work, leg, server, 481);
    return;
  }
  leg.dialog = outcome.dialog;
  const unknown = tokensOf(request, 'Require').filter((option) => !UNDERSTOOD.has(option.toLowerCase()));
  if (unknown.length > 0) {
    answerRequest(work, leg, server, 420, { headers: [{ name: 'Unsupported', value: unknown.join(', ') }] });
    return;
  }
  serve(work, leg, server, request);
}

function serve(work: Work, leg: Leg, server: ServerRequest, request: SipRequest): void {
  switch (request.method) {
    case 'BYE':
      hungUp(work, leg, server, request);
      return;
    case 'INVITE':
      answerRequest(work, leg, server, 100);
      renegotiate(work, leg, server, request);
      return;
    case 'UPDATE':
      renegotiate(work, leg, server, request);
      return;
    case 'INFO':
      relayInfo(work, leg, server, request);
      return;
    case 'PRACK':
      pracked(work, leg, server, request);
      return;
    case 'OPTIONS':
      answerRequest(work, leg, server, 200, {
        headers: [
          { name: 'Allow', value: ALLOW },
          { name: 'Accept', value: 'application/sdp, application/dtmf-relay, application/dtmf' },
          { name: 'Supported', value: supportedOn(leg).join(', ') },
        ],
      });
      return;
    case 'REFER':
      refer(work, leg, server, request);
      return;
    default:
      answerRequest(work, leg, server, KNOWN_METHODS.has(request.method) ? 405 : 501, {
        headers: [{ name: 'Allow', value: ALLOW }],
      });
  }
}
