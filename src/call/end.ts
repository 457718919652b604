import type { StreamId } from '../base/index.ts';
import { type SipHeader, terminateDialog } from '../sip/index.ts';
import type { Call, CallEnd, ClientRequest, Leg } from './model.ts';
import { recordOf } from './record.ts';
import { answerRequest, openClientInvite, openInvite, sendAck, sendCancel, sendRequest } from './wire.ts';
import type { Work } from './work.ts';

/** How long the record waits for the figures of the streams. */
const REPORTS_WAIT_MS = 2_000;
/** RFC 3261 §9.1: a cancelled INVITE without a final response is over after 64 × T1. */
export const CANCEL_WAIT_MS = 32_000;

export interface Ending extends Omit<CallEnd, 'utcMs'> {
  /** `Reason` headers for the other ends. */
  readonly headers?: readonly SipHeader[];
  /** Further headers for the caller's final response: Retry-After, Warning. */
  readonly answerHeaders?: readonly SipHeader[];
}

export const isOver = (call: Call): boolean => call.end !== undefined;

/** Ends the call on every leg. What ended it first stays written. */
export function endCall(work: Work, { headers = [], answerHeaders = [], ...end }: Ending): void {
  const { call } = work;
  if (call.end !== undefined) return;
  call.end = { ...end, utcMs: work.ctx.utcMs };
  call.state = 'ending';
  call.queue = [];
  call.lookups = [];
  delete call.ringUntilMs;
  delete call.answerHeld;
  for (const leg of call.legs) endLeg(work, leg, headers, answerHeaders);
  closeStreams(work);
}

function endLeg(
  work: Work,
  leg: Leg,
  headers: readonly SipHeader[],
  answerHeaders: readonly SipHeader[],
): void {
  delete leg.sessionTimer;
  delete leg.refreshAgainAtMs;
  delete leg.ringUntilMs;
  switch (leg.state) {
    case 'new':
      leg.state = 'ended';
      return;
    case 'calling':
    case 'ringing':
      if (leg.role === 'caller') refuseCaller(work, leg, headers, answerHeaders);
      else cancelLeg(work, leg, headers);
      return;
    case 'answered':
      // RFC 3261 §15: the callee's side of a dialog must not send BYE before the ACK has come (`acknowledged`).
      leg.state = 'ending';
      if (leg.role === 'callee') sendBye(work, leg, headers);
      return;
    case 'confirmed':
      refuseOpenRequests(work, leg);
      delete leg.answer;
      sendBye(work, leg, headers);
      return;
    case 'ending':
    case 'ended':
      return;
  }
}

function refuseCaller(
  work: Work,
  leg: Leg,
  headers: readonly SipHeader[],
  answerHeaders: readonly SipHeader[],
): void {
  const invite = openInvite(leg);
  const status = work.call.end?.status ?? 500;
  for (const server of leg.servers) {
    if (server !== invite && server.request !== undefined) answerRequest(work, leg, server, 487);
  }
  // A call that failed has nothing below 300 to say: an accident here must not read as an answer.
  if (invite !== undefined) {
    answerRequest(work, leg, invite, status < 300 ? 487 : status, {
      headers: [...headers, ...answerHeaders],
    });
  }
  finishLeg(leg);
}

/** RFC 3261 §15.1.2: what the peer still waits for is answered 487. */
export function refuseOpenRequests(work: Work, leg: Leg): void {
  for (const server of leg.servers) {
    if (server.request !== undefined && server.method !== 'BYE') answerRequest(work, leg, server, 487);
  }
}

/** The leg is over as far as we are concerned; its transactions absorb what is sent again. */
export function finishLeg(leg: Leg): void {
  leg.state = 'ended';
  delete leg.answer;
  delete leg.ackOwed;
  delete leg.reliableSender;
  delete leg.reliableReceiver;
  delete leg.sessionTimer;
  delete leg.refreshAgainAtMs;
  delete leg.ringUntilMs;
  delete leg.cancelWanted;
  delete leg.lost;
  delete leg.newContactAtMs;
  if (leg.dialog !== undefined) leg.dialog = terminateDialog(leg.dialog);
}

/** BYE, after the ACK that is still owed. */
export function sendBye(work: Work, leg: Leg, headers: readonly SipHeader[] = []): void {
  if (leg.ackOwed !== undefined) sendAck(work, leg, leg.ackOwed.cseq);
  leg.state = 'ending';
  if (!sendRequest(work, leg, { method: 'BYE', purpose: { kind: 'bye' }, headers })) finishLeg(leg);
}

/** CANCEL to a device that has not answered. Before its first response it must wait (RFC 3261 §9.1). */
export function cancelLeg(work: Work, leg: Leg, headers: readonly SipHeader[] = []): void {
  const client = openClientInvite(leg);
  if (client === undefined) {
    finishLeg(leg);
    return;
  }
  leg.state = 'ending';
  delete leg.ringUntilMs;
  if (client.tx.state === 'Proceeding') cancelInvite(work, leg, client, headers);
  else leg.cancelWanted = true;
}

export function cancelInvite(
  work: Work,
  leg: Leg,
  client: ClientRequest,
  headers: readonly SipHeader[] = [],
): void {
  delete leg.cancelWanted;
  client.giveUpAtMs = work.ctx.nowMs + CANCEL_WAIT_MS;
  if (client.invite !== undefined) sendCancel(work, leg, client.invite, headers);
}

/** Gives up the stream of a device that did not get the call. */
export function closeStreamOf(work: Work, leg: Leg): void {
  const { stream } = leg.media;
  if (stream === undefined) return;
  delete leg.media.stream;
  dropStreams(work, [stream]);
}

/** What this step wanted of these streams is void: an adopter that carries the commands out again shall not open them anew. */
export function dropStreams(work: Work, streams: readonly StreamId[]): void {
  for (let at = work.commands.length - 1; at >= 0; at--) {
    const command = work.commands[at];
    if (command?.type === 'media-put' && streams.includes(command.stream.id)) work.commands.splice(at, 1);
  }
  work.commands.push({ type: 'media-close', streams });
}

function closeStreams(work: Work): void {
  const { call } = work;
  const streams: StreamId[] = [];
  // One that never opened has no figures to wait for.
  const reporting: StreamId[] = [];
  for (const { media } of call.legs) {
    if (media.stream === undefined || media.closed) continue;
    streams.push(media.stream);
    if (media.opened !== undefined) reporting.push(media.stream);
  }
  call.closing = { untilMs: work.ctx.nowMs + REPORTS_WAIT_MS, streams: reporting };
  if (streams.length > 0) dropStreams(work, streams);
}

/** Writes the record once the figures are there, or have not come in time. */
export function finishIfReported(work: Work): void {
  const { call, ctx } = work;
  if (call.state !== 'ending' || call.closing === undefined) return;
  const { streams, untilMs } = call.closing;
  const complete = streams.every((stream) => call.reports.some((report) => report.stream === stream));
  if (!complete && ctx.nowMs < untilMs) return;
  work.commands.push({ type: 'record', record: recordOf(call) });
  call.state = 'ended';
  forgetWhatIsOver(call);
}

/** What lingers until the last transaction ends (32 s over UDP) should be small. */
function forgetWhatIsOver(call: Call): void {
  delete call.closing;
  call.reports = [];
  for (const leg of call.legs) {
    const { family, sdpId } = leg.media;
    // Keys are of no use any more and must not lie about (TR-MEDIA-10): no message that holds one is sent again.
    leg.servers = leg.servers.filter(({ tx }) => !holdsKey(tx.lastResponse));
    leg.clients = leg.clients.flatMap(withoutKey);
    for (const client of leg.clients) if (holdsKey(client.ack)) delete client.ack;
    leg.media = {
      family,
      sdpId,
      sdpVersion: 0,
      agreed: false,
      direction: 'inactive',
      codecs: [],
      rtcpMux: false,
      secureProfile: false,
    };
  }
}

/**
 * An INVITE that is still to be cancelled, and whose 487 is to be acknowledged, stays without its body. So it is sent again too: a phone
 * that has it says its lost 1xx once more, for which the CANCEL waits.
 */
function withoutKey(client: ClientRequest): ClientRequest[] {
  const { tx } = client;
  if (!holdsKey(tx.request)) return [client];
  if (tx.kind !== 'invite-client') return [];
  const head = tx.request.slice(0, tx.request.indexOf('\r\n\r\n') + 4);
  const request = head
    .replace(/^Content-Type:.*\r\n/im, '')
    .replace(/^Content-Length:.*$/im, 'Content-Length: 0');
  return [{ ...client, tx: { ...tx, request } }];
}

const holdsKey = (text: string | undefined): boolean => text?.includes('\na=crypto:') === true;
