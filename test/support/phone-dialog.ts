import {
  ackFor2xx,
  createResponse,
  cseqOf,
  type Dialog,
  type DialogRequest,
  requestInDialog,
  responseInDialog,
  type SipRequest,
  type SipResponse,
  serialize,
} from '../../src/sip/index.ts';
import type { PhoneCore } from './phone-core.ts';
import type { PhoneFlow } from './phone-transport.ts';

/** A dialog of a call (a forked INVITE has several) and the way to its peer. */
export interface DialogLeg {
  dialog: Dialog;
  flow: PhoneFlow;
  /** Our ACKs by the CSeq of their INVITE: a 2xx that comes again gets the same. */
  readonly acks: Map<number, string>;
}

export type InDialog = Omit<DialogRequest, 'via'>;

/**
 * Sends a request in the dialog and resolves with its final response: the peer's, or a local 408 or 503 (RFC 3261 §8.1.3.1). A challenge
 * is answered once. `onSuccess` sees every 2xx, also repeated ones, at once: an ACK must not wait for a promise.
 */
export async function requestIn(
  core: PhoneCore,
  leg: DialogLeg,
  init: InDialog,
  onSuccess: (response: SipResponse, cseq: number) => void = () => {},
): Promise<SipResponse> {
  // A request to a lost connection goes over another one; if there is none, the send fails and says 503.
  if (leg.flow.closed) leg.flow = await core.flowFor(leg.dialog.remoteTarget).catch(() => leg.flow);
  const { dialog, request } = requestInDialog(leg.dialog, { ...init, via: core.via(leg.flow) });
  leg.dialog = dialog;
  return exchange(core, leg, request, onSuccess, true);
}

function exchange(
  core: PhoneCore,
  leg: DialogLeg,
  request: SipRequest,
  onSuccess: (response: SipResponse, cseq: number) => void,
  mayAuthorize: boolean,
): Promise<SipResponse> {
  return new Promise((resolve) => {
    const settle = (response: SipResponse): void => {
      leg.dialog = responseInDialog(leg.dialog, request.method, response);
      resolve(response);
    };
    core.transactions.send(request, leg.flow, {
      response(response) {
        if (response.status < 200) return;
        if (response.status < 300) onSuccess(response, cseqOf(request)!.seq);
        if (mayAuthorize && (response.status === 401 || response.status === 407)) {
          const cseq = leg.dialog.localCseq + 1;
          const again = core.authorize(request, response, leg.flow, cseq);
          if (again !== undefined) {
            leg.dialog = { ...leg.dialog, localCseq: cseq };
            resolve(exchange(core, leg, again, onSuccess, false));
            return;
          }
        }
        settle(response);
      },
      failed(why) {
        const status = why === 'timeout' ? 408 : 503;
        settle(createResponse(request, status, { reason: `local ${why}` }));
      },
    });
  });
}

/** Acknowledges a 2xx of that CSeq: anew the first time, with the same bytes when it comes again. */
export function acknowledge(
  core: PhoneCore,
  leg: DialogLeg,
  inviteCseq: number,
  body: string | undefined,
  credentials: DialogRequest['headers'] = [],
): void {
  let text = leg.acks.get(inviteCseq);
  if (text === undefined) {
    const ack = ackFor2xx(leg.dialog, inviteCseq, {
      via: core.via(leg.flow),
      headers: credentials,
      ...(body === undefined ? {} : { body, contentType: 'application/sdp' }),
    });
    text = serialize(ack);
    leg.acks.set(inviteCseq, text);
  }
  if (!leg.flow.closed) {
    leg.flow.send(text);
    return;
  }
  // As every request of the dialog: to a lost connection it goes over another one.
  const ack = text;
  core.flowFor(leg.dialog.remoteTarget).then(
    (flow) => {
      leg.flow = flow;
      flow.send(ack);
    },
    () => {},
  );
}
