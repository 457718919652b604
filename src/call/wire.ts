import type { Flow } from '../link/index.ts';
import {
  ackFor2xx,
  cancelFor,
  createResponse,
  header,
  requestInDialog,
  respond as respondIn,
  type ServerTransaction,
  type SipHeader,
  type SipRequest,
  type SipResponse,
  serialize,
  startClient,
  startServer,
  type TransactionOutput,
  topVia,
} from '../sip/index.ts';
import { ALLOW, contactFor, recvInfoOn, sessionIdHeader, supportedOn, viaFor } from './headers.ts';
import type { ClientRequest, Leg, Purpose, ServerRequest } from './model.ts';
import type { Work } from './work.ts';

/** What one leg may have under way or just behind it. A burst of digits as INFO pushes out its own oldest ones. */
const MAX_PER_LEG = 16;

/** Makes room by forgetting a finished request that only absorbs repetitions. False: all are under way. */
function hasRoom(list: { readonly tx: { readonly kind: string; readonly state: string } }[]): boolean {
  if (list.length < MAX_PER_LEG) return true;
  const oldest = list.findIndex(({ tx }) => tx.state === 'Completed' && tx.kind.startsWith('non-invite'));
  if (oldest < 0) return false;
  list.splice(oldest, 1);
  return true;
}

/** What is not answered for so long, though sent again at 0.5, 1.5 and 3.5 s over UDP, may not have come. */
const DOUBT_MS = 3_000;

/** Over a trunk what nobody answers is sent again, too: the connection may end with an edge at either end, and another takes its place. */
export const isReliable = ({ transport, dataCentre }: Flow): boolean =>
  transport !== 'udp' && dataCentre === undefined;

export function sendText(work: Work, leg: Leg, text: string, remote?: ServerRequest['remote']): void {
  work.commands.push({
    type: 'send',
    leg: leg.id,
    flow: leg.flow,
    ...(remote === undefined ? {} : { remote }),
    text,
  });
}

/** Sends what a transaction wants sent; the rest is for the caller to act upon. */
export function sendOutputs(
  work: Work,
  leg: Leg,
  outputs: readonly TransactionOutput[],
  remote?: ServerRequest['remote'],
): void {
  for (const output of outputs) if (output.type === 'send') sendText(work, leg, output.text, remote);
}

export interface OutgoingRequest {
  readonly method: string;
  readonly purpose: Purpose;
  readonly headers?: readonly SipHeader[];
  readonly body?: string;
  readonly contentType?: string;
}

/** Headers that every request and response of ours has. */
function ownHeaders(work: Work, leg: Leg, kind: 'User-Agent' | 'Server'): SipHeader[] {
  return [sessionIdHeader(work, leg), { name: kind, value: work.ctx.serverName }];
}

const capabilitiesOn = (leg: Leg): SipHeader[] => [
  { name: 'Allow', value: ALLOW },
  { name: 'Supported', value: supportedOn(leg).join(', ') },
  ...recvInfoOn(leg),
];

/** A request in the leg's dialog. False when the leg has none, or too many are under way. */
export function sendRequest(work: Work, leg: Leg, outgoing: OutgoingRequest): boolean {
  if (leg.dialog === undefined || !hasRoom(leg.clients)) return false;
  const refreshesTarget = outgoing.method === 'INVITE' || outgoing.method === 'UPDATE';
  if (refreshesTarget) delete leg.newContactAtMs;
  const { dialog, request } = requestInDialog(leg.dialog, {
    method: outgoing.method,
    via: viaFor(work, leg),
    ...(refreshesTarget ? { contact: contactFor(work, leg) } : {}),
    headers: [
      ...(refreshesTarget ? capabilitiesOn(leg) : []),
      ...ownHeaders(work, leg, 'User-Agent'),
      ...(outgoing.headers ?? []),
    ],
    ...(outgoing.body === undefined ? {} : { body: outgoing.body, contentType: outgoing.contentType ?? '' }),
  });
  leg.dialog = dialog;
  startRequest(work, leg, request, dialog.localCseq, outgoing.purpose);
  return true;
}

/** The INVITE that begins a callee's dialog. */
export function sendFirstInvite(
  work: Work,
  leg: Leg,
  request: Omit<SipRequest, 'kind' | 'method'> & { readonly contentType?: string },
): void {
  startRequest(
    work,
    leg,
    {
      kind: 'request',
      method: 'INVITE',
      uri: request.uri,
      headers: [
        { name: 'Via', value: viaFor(work, leg) },
        ...request.headers,
        { name: 'Contact', value: contactFor(work, leg) },
        { name: 'Allow', value: ALLOW },
        ...recvInfoOn(leg),
        ...ownHeaders(work, leg, 'User-Agent'),
        ...(request.body === '' ? [] : [{ name: 'Content-Type', value: 'application/sdp' }]),
      ],
      body: request.body,
    },
    1,
    { kind: 'invite' },
  );
}

function startRequest(work: Work, leg: Leg, request: SipRequest, cseq: number, purpose: Purpose): void {
  const { tx, outputs } = startClient(request, { reliable: isReliable(leg.flow), nowMs: work.ctx.nowMs });
  const client: ClientRequest = {
    tx,
    method: request.method,
    cseq,
    purpose,
    doubtAtMs: work.ctx.nowMs + DOUBT_MS,
    ...(request.method === 'INVITE' ? { invite: forCancel(request) } : {}),
  };
  leg.clients.push(client);
  sendOutputs(work, leg, outputs);
}

/** What a CANCEL and the dialog need of the INVITE; the body and the rest are in the transaction already. */
const forCancel = (request: SipRequest): SipRequest => ({
  ...request,
  headers: request.headers.filter(({ name }) =>
    ['Via', 'Route', 'From', 'To', 'Call-ID', 'CSeq'].includes(name),
  ),
  body: '',
});

export function sendCancel(work: Work, leg: Leg, invite: SipRequest, headers: readonly SipHeader[]): void {
  const cancel = cancelFor(invite);
  const request = { ...cancel, headers: [...cancel.headers, sessionIdHeader(work, leg), ...headers] };
  const { tx, outputs } = startClient(request, { reliable: isReliable(leg.flow), nowMs: work.ctx.nowMs });
  const doubtAtMs = work.ctx.nowMs + DOUBT_MS;
  leg.clients.push({ tx, method: 'CANCEL', cseq: 0, purpose: { kind: 'done' }, doubtAtMs });
  sendOutputs(work, leg, outputs);
}

/** The ACK to a 2xx, kept until another INVITE's takes its place: a repeated 2xx gets it again (RFC 3261 §13.2.2.4). */
export function sendAck(work: Work, leg: Leg, cseq: number, sdp?: string): void {
  if (leg.dialog === undefined) return;
  const ack = ackFor2xx(leg.dialog, cseq, {
    via: viaFor(work, leg),
    headers: ownHeaders(work, leg, 'User-Agent'),
    ...(sdp === undefined ? {} : { body: sdp, contentType: 'application/sdp' }),
  });
  const text = serialize(ack);
  leg.ack = { cseq };
  const client = leg.clients.find((one) => one.method === 'INVITE' && one.cseq === cseq);
  if (client !== undefined) client.ack = text;
  delete leg.ackOwed;
  sendText(work, leg, text);
}

/** A new request's transaction. Undefined when the leg has too many already. */
export function admit(leg: Leg, request: SipRequest, flow: Flow, cseq: number): ServerRequest | undefined {
  if (!hasRoom(leg.servers)) return undefined;
  const { tx } = startServer(request, { reliable: isReliable(flow) });
  const remote = answerAddress(request, flow);
  const server: ServerRequest = {
    tx,
    method: request.method,
    cseq,
    request: forResponse(request),
    ...(remote === undefined ? {} : { remote }),
  };
  leg.servers.push(server);
  return server;
}

const COPIED = new Set(['Via', 'From', 'To', 'Call-ID', 'CSeq', 'Record-Route', 'Timestamp']);
const ASKED = new Set(['Supported', 'Require', 'Session-Expires', 'Min-SE', 'Contact']);

/** The request without what its response does not need. */
const forResponse = (request: SipRequest): SipRequest => ({
  ...request,
  headers: request.headers.filter(({ name }) => COPIED.has(name) || ASKED.has(name)),
  body: '',
});

/** RFC 3261 §18.2.2 with RFC 3581: without `rport` over UDP to the Via's port at the address it came from. */
function answerAddress(request: SipRequest, flow: Flow): ServerRequest['remote'] {
  if (flow.transport !== 'udp') return undefined;
  const via = topVia(request);
  if (via === undefined || via.params['rport'] !== undefined) return undefined;
  const port = via.port ?? 5060;
  return port === flow.remote.port ? undefined : { address: flow.remote.address, port };
}

export interface Answer {
  readonly reason?: string;
  readonly headers?: readonly SipHeader[];
  /** SDP unless `contentType` says otherwise. */
  readonly body?: string;
  readonly contentType?: string;
}

/** Responses that tell where the dialog's requests shall go and what may be asked in it (RFC 3261 §12.1.1, RFC 3311 §5.1). */
const describesUs = (method: string, status: number): boolean =>
  status > 100 && status < 300 && (method === 'INVITE' || method === 'UPDATE');

export function responseFor(
  work: Work,
  leg: Leg,
  request: SipRequest,
  status: number,
  answer: Answer = {},
): SipResponse {
  const describing = describesUs(request.method, status);
  if (describing) delete leg.newContactAtMs;
  return createResponse(request, status, {
    ...(answer.reason === undefined ? {} : { reason: answer.reason }),
    toTag: leg.localTag,
    headers: [
      ...(describing ? [{ name: 'Contact', value: contactFor(work, leg) }, ...capabilitiesOn(leg)] : []),
      ...ownHeaders(work, leg, 'Server'),
      ...(answer.headers ?? []),
      ...(answer.body === undefined
        ? []
        : [{ name: 'Content-Type', value: answer.contentType ?? 'application/sdp' }]),
    ],
    ...(answer.body === undefined ? {} : { body: answer.body }),
  });
}

/** Answers a request once finally; a second final answer is dropped. Returns the text sent. */
export function answerRequest(
  work: Work,
  leg: Leg,
  server: ServerRequest,
  status: number,
  answer: Answer = {},
): string | undefined {
  if (server.request === undefined) return undefined;
  const text = serialize(responseFor(work, leg, server.request, status, answer));
  sendResponseText(work, leg, server, text, status);
  if (status >= 200) {
    delete server.request;
    server.status = status;
  }
  return text;
}

/** For texts made elsewhere: a reliable 1xx, a repeated 2xx. */
export function sendResponseText(
  work: Work,
  leg: Leg,
  server: ServerRequest,
  text: string,
  status: number,
): void {
  const { tx, outputs } = respondIn<ServerTransaction>(server.tx, text, status, work.ctx.nowMs);
  server.tx = tx;
  sendOutputs(work, leg, outputs, server.remote);
}

/** Answers a request that gets no transaction: over a strange flow, too many at once, of no leg. */
export function answerWithoutTransaction(
  work: Work,
  leg: Leg,
  request: SipRequest,
  flow: Flow,
  status: number,
): void {
  if (request.method === 'ACK') return;
  const response = createResponse(request, status, {
    toTag: leg.localTag,
    headers: [{ name: 'Server', value: work.ctx.serverName }],
  });
  const remote = answerAddress(request, flow);
  work.commands.push({
    type: 'send',
    leg: leg.id,
    flow,
    ...(remote === undefined ? {} : { remote }),
    text: serialize(response),
  });
}

/** The INVITE of the peer that we have not finally answered. */
export const openInvite = (leg: Leg): ServerRequest | undefined =>
  leg.servers.find((server) => server.method === 'INVITE' && server.request !== undefined);

/** Our INVITE that the peer has not finally answered. */
export const openClientInvite = (leg: Leg): ClientRequest | undefined =>
  leg.clients.find(
    ({ method, tx }) => method === 'INVITE' && (tx.state === 'Calling' || tx.state === 'Proceeding'),
  );

export const isSdp = (message: SipRequest | SipResponse): boolean =>
  message.body !== '' &&
  (header(message, 'Content-Type') ?? 'application/sdp').split(';', 1)[0]!.trim().toLowerCase() ===
    'application/sdp';
