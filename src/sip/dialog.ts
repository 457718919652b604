import { failed, ok, type Result } from '../base/index.ts';
import type { Dialog, DialogRequest } from './dialog-types.ts';
import { cseqOf, fromOf, MAX_CSEQ, toOf } from './fields.ts';
import { header, headerValues } from './headers.ts';
import type { SipHeader, SipMessage, SipRequest, SipResponse } from './message.ts';
import { parseNameAddr, tagOf } from './name-addr.ts';
import { parseUri } from './uri.ts';

/** Methods whose Contact moves the dialog's remote target (RFC 3261 §12.2, RFC 3311 §5, RFC 6665). */
const TARGET_REFRESH = new Set(['INVITE', 'UPDATE', 'SUBSCRIBE', 'NOTIFY', 'REFER']);
/** No honest path is longer; a longer one is refused rather than stored with every call. */
const MAX_ROUTES = 32;

export type DialogProblem = 'no_tag' | 'no_contact' | 'no_cseq' | 'too_many_routes';

/**
 * The UAC's dialog (RFC 3261 §12.1.2) from our request and a 101 … 299 to it. A 1xx makes it early, a 2xx confirmed. Each To tag
 * makes a dialog of its own.
 */
export function dialogFromResponse(
  request: SipRequest,
  response: SipResponse,
): Result<Dialog, DialogProblem> {
  const cseq = cseqOf(request);
  const localTag = tagOf(fromOf(request));
  if (cseq === undefined) return failed('no_cseq');
  if (localTag === undefined) return failed('no_tag');
  const remoteTarget = contactUri(response);
  if (remoteTarget === undefined) return failed('no_contact');
  const routeSet = recordRoutes(response).reverse();
  if (routeSet.length > MAX_ROUTES) return failed('too_many_routes');
  return ok({
    role: 'uac',
    state: response.status < 200 ? 'early' : 'confirmed',
    callId: header(request, 'Call-ID') ?? '',
    localTag,
    remoteTag: tagOf(toOf(response)) ?? '',
    localAddress: addressWithoutParams(header(request, 'From') ?? ''),
    remoteAddress: addressWithoutParams(header(response, 'To') ?? ''),
    localCseq: cseq.seq,
    remoteTarget,
    routeSet,
  });
}

/** The UAS's dialog (RFC 3261 §12.1.1) from a request that the peer sent and the tag that our responses carry. */
export function dialogFromRequest(
  request: SipRequest,
  localTag: string,
  state: 'early' | 'confirmed',
): Result<Dialog, DialogProblem> {
  const cseq = cseqOf(request);
  if (cseq === undefined) return failed('no_cseq');
  const remoteTarget = contactUri(request);
  if (remoteTarget === undefined) return failed('no_contact');
  const routeSet = recordRoutes(request);
  if (routeSet.length > MAX_ROUTES) return failed('too_many_routes');
  return ok({
    role: 'uas',
    state,
    callId: header(request, 'Call-ID') ?? '',
    localTag,
    remoteTag: tagOf(fromOf(request)) ?? '',
    localAddress: addressWithoutParams(header(request, 'To') ?? ''),
    remoteAddress: addressWithoutParams(header(request, 'From') ?? ''),
    // §12.1.1: the local sequence number is empty; our first request counts from 1.
    localCseq: 0,
    remoteCseq: cseq.seq,
    remoteTarget,
    routeSet,
  });
}

/** The 2xx came for an early dialog: confirmed, with the route set and target of the 2xx (§13.2.2.4). */
export function confirmDialog(dialog: Dialog, response?: SipResponse): Dialog {
  if (dialog.state === 'terminated') return dialog;
  if (response === undefined) return { ...dialog, state: 'confirmed' };
  const routeSet = recordRoutes(response).reverse().slice(0, MAX_ROUTES);
  return {
    ...dialog,
    state: 'confirmed',
    routeSet: dialog.state === 'early' ? routeSet : dialog.routeSet,
    remoteTarget: contactUri(response) ?? dialog.remoteTarget,
  };
}

export const terminateDialog = (dialog: Dialog): Dialog => ({ ...dialog, state: 'terminated' });

/** Whether a message belongs to the dialog (§12.2.2): a request by its To and From tag, a response to a request of ours the other way. */
export function matchDialog(dialog: Dialog, message: SipMessage): boolean {
  if (header(message, 'Call-ID') !== dialog.callId) return false;
  const toTag = tagOf(toOf(message)) ?? '';
  const fromTag = tagOf(fromOf(message)) ?? '';
  return message.kind === 'request'
    ? toTag === dialog.localTag && fromTag === dialog.remoteTag
    : fromTag === dialog.localTag && toTag === dialog.remoteTag;
}

/** A request of ours in the dialog (§12.2.1.1), and the dialog with its CSeq counted up. ACK to a 2xx: `ackFor2xx`. CANCEL: `cancelFor`. */
export function requestInDialog(
  dialog: Dialog,
  request: DialogRequest,
): { readonly dialog: Dialog; readonly request: SipRequest } {
  // §8.1.1.5 wants it below 2^31; a peer's own count is not ours, so 2^31 requests are the bound of one dialog.
  const localCseq = Math.min(dialog.localCseq + 1, MAX_CSEQ);
  return { dialog: { ...dialog, localCseq }, request: buildRequest(dialog, request, localCseq) };
}

/**
 * The ACK for a 2xx to our INVITE (§13.2.2.4): a request of its own with a new branch, the INVITE's CSeq number, and the credentials of
 * that INVITE (§22.1), which the caller passes in `headers`. `inviteCseq` counts, not the last CSeq: an UPDATE may have come between.
 */
export function ackFor2xx(
  dialog: Dialog,
  inviteCseq: number,
  request: Omit<DialogRequest, 'method'>,
): SipRequest {
  return buildRequest(dialog, { ...request, method: 'ACK' }, inviteCseq);
}

function buildRequest(dialog: Dialog, request: DialogRequest, cseqNumber: number): SipRequest {
  const { uri, routes } = pathOf(dialog);
  const toTag = dialog.remoteTag === '' ? '' : `;tag=${dialog.remoteTag}`;
  const body = request.body ?? '';
  const headers: SipHeader[] = [
    { name: 'Via', value: request.via },
    ...routes.map((value) => ({ name: 'Route', value })),
    { name: 'Max-Forwards', value: String(request.maxForwards ?? 70) },
    { name: 'From', value: `${dialog.localAddress};tag=${dialog.localTag}` },
    { name: 'To', value: `${dialog.remoteAddress}${toTag}` },
    { name: 'Call-ID', value: dialog.callId },
    { name: 'CSeq', value: `${cseqNumber} ${request.method}` },
    ...(request.contact === undefined ? [] : [{ name: 'Contact', value: request.contact }]),
    ...(request.headers ?? []),
    ...(request.contentType === undefined || body === ''
      ? []
      : [{ name: 'Content-Type', value: request.contentType }]),
  ];
  return { kind: 'request', method: request.method, uri, headers, body };
}

/** §12.2.1.1: with a loose first hop the target is the Request-URI; a strict one (no `lr`, RFC 2543) becomes it and the target goes last. */
function pathOf(dialog: Dialog): { readonly uri: string; readonly routes: readonly string[] } {
  const [first, ...rest] = dialog.routeSet;
  if (first === undefined) return { uri: dialog.remoteTarget, routes: [] };
  const firstUri = parseNameAddr(first)?.uri ?? dialog.remoteTarget;
  if (hasLr(firstUri)) return { uri: dialog.remoteTarget, routes: dialog.routeSet };
  // Headers and `method` of a URI may not stand in a Request-URI.
  const uri = firstUri.replace(/\?.*$/s, '').replace(/;method=[^;]*/i, '');
  return { uri, routes: [...rest, `<${dialog.remoteTarget}>`] };
}

const hasLr = (uri: string): boolean => /;lr(?:[;=?]|$)/i.test(uri);

export type InDialogOutcome =
  | { readonly type: 'accepted'; readonly dialog: Dialog }
  /** A lower CSeq than one that came before: answer 500 (§12.2.2). */
  | { readonly type: 'out-of-order' }
  /** The dialog is over, or the message is none of its: answer 481. */
  | { readonly type: 'no-dialog' };

/**
 * A request of the peer in the dialog (§12.2.2), after transaction matching. Counts the peer's CSeq and follows its Contact. ACK and
 * CANCEL carry the CSeq of their INVITE and are never out of order.
 */
export function receiveInDialog(dialog: Dialog, request: SipRequest): InDialogOutcome {
  const cseq = cseqOf(request);
  if (dialog.state === 'terminated' || cseq === undefined || !matchDialog(dialog, request))
    return { type: 'no-dialog' };
  if (request.method === 'ACK' || request.method === 'CANCEL') return { type: 'accepted', dialog };
  // Equal numbers are out of order too: the same request sent again was matched by its transaction.
  if (dialog.remoteCseq !== undefined && cseq.seq <= dialog.remoteCseq) return { type: 'out-of-order' };
  const remoteTarget = TARGET_REFRESH.has(request.method)
    ? (contactUri(request) ?? dialog.remoteTarget)
    : dialog.remoteTarget;
  return { type: 'accepted', dialog: { ...dialog, remoteCseq: cseq.seq, remoteTarget } };
}

/**
 * A response to a request of ours inside the dialog (§12.2.1.2): a 2xx to a target refresh moves the remote target; 481 and 408 end the
 * dialog (RFC 5057 §5 keeps it for the others); a 2xx to BYE ends it.
 */
export function responseInDialog(dialog: Dialog, method: string, response: SipResponse): Dialog {
  if (dialog.state === 'terminated' || response.status < 200) return dialog;
  if (response.status === 481 || response.status === 408) return terminateDialog(dialog);
  // A challenged BYE is sent again with credentials; any other answer to it ends the dialog (§15.1.1).
  if (method === 'BYE') return [401, 407].includes(response.status) ? dialog : terminateDialog(dialog);
  if (response.status >= 300 || !TARGET_REFRESH.has(method)) return dialog;
  return { ...dialog, remoteTarget: contactUri(response) ?? dialog.remoteTarget };
}

function contactUri(message: SipMessage): string | undefined {
  const [value] = headerValues(message, 'Contact');
  if (value === undefined) return undefined;
  const uri = parseNameAddr(value)?.uri;
  return uri !== undefined && parseUri(uri) !== undefined ? uri : undefined;
}

const recordRoutes = (message: SipMessage): string[] => [...headerValues(message, 'Record-Route')];

/** A From or To value without what stands behind the URI. In the form without `<>` all parameters are the header's (§20.10). */
function addressWithoutParams(value: string): string {
  let quoted = false;
  for (let at = 0; at < value.length; at++) {
    const char = value[at];
    if (quoted && char === '\\') at++;
    else if (char === '"') quoted = !quoted;
    else if (!quoted && char === '>') return value.slice(0, at + 1);
  }
  const semicolon = value.indexOf(';');
  const uri = (semicolon < 0 ? value : value.slice(0, semicolon)).trim();
  return `<${uri}>`;
}
