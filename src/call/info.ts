import { parseTrickle } from '../sdp/index.ts';
import { contentTypeOf, header, type SipRequest, type SipResponse } from '../sip/index.ts';
import { TRICKLE } from './headers.ts';
import type { Leg, ServerRequest } from './model.ts';
import { answerRequest, sendRequest } from './wire.ts';
import { peerOf, type Work } from './work.ts';

/** Digits as INFO (RFC 6086 appendix A calls this use "legacy"): phones of two makers, two formats. */
const DTMF_TYPES: readonly string[] = ['application/dtmf-relay', 'application/dtmf'];
const MAX_BODY_LENGTH = 256;
const TRICKLE_TYPE = 'application/trickle-ice-sdpfrag';

/** Further candidates (RFC 8840). A lite agent needs none: it goes to where authenticated checks come from. */
function answerTrickle(work: Work, leg: Leg, server: ServerRequest, request: SipRequest): void {
  if (contentTypeOf(request) !== TRICKLE_TYPE) {
    answerRequest(work, leg, server, 415, { headers: [{ name: 'Accept', value: TRICKLE_TYPE }] });
    return;
  }
  const isFragment = parseTrickle(request.body) !== undefined;
  answerRequest(work, leg, server, isFragment ? 200 : 400);
}

/** INFO: keypad digits go to the other end as they are. */
export function relayInfo(work: Work, leg: Leg, server: ServerRequest, request: SipRequest): void {
  const infoPackage = header(request, 'Info-Package')?.split(';', 1)[0]?.trim().toLowerCase();
  if (infoPackage === TRICKLE && leg.media.ice !== undefined) {
    answerTrickle(work, leg, server, request);
    return;
  }
  if (infoPackage !== undefined) {
    // RFC 6086 §4.2.2: we have told of no other package, so any is a bad one.
    answerRequest(work, leg, server, 469, {
      reason: 'Bad Info Package',
      headers: [{ name: 'Recv-Info', value: leg.media.ice === undefined ? '' : TRICKLE }],
    });
    return;
  }
  if (request.body === '') {
    answerRequest(work, leg, server, 200);
    return;
  }
  const type = contentTypeOf(request) ?? '';
  if (!DTMF_TYPES.includes(type) || request.body.length > MAX_BODY_LENGTH) {
    answerRequest(work, leg, server, 415, { headers: [{ name: 'Accept', value: DTMF_TYPES.join(', ') }] });
    return;
  }
  const other = peerOf(work.call, leg);
  // Also before the ACK, which may be lost with its connection and comes again after seconds: the dialog stands from the 2xx on (RFC 3261 §12.1).
  const sent =
    (other?.state === 'confirmed' || other?.state === 'answered') &&
    sendRequest(work, other, {
      method: 'INFO',
      purpose: { kind: 'relay', server: server.tx.key },
      body: request.body,
      contentType: type,
    });
  if (!sent) answerRequest(work, leg, server, 480);
}

export function infoAnswered(
  work: Work,
  asking: Leg | undefined,
  server: ServerRequest | undefined,
  response: SipResponse | undefined,
): void {
  const status = response?.status ?? 408;
  if (status < 200 || asking === undefined || server === undefined) return;
  // Whether the other end's dialog is gone (481) is its own affair here: the next request that matters will tell.
  answerRequest(work, asking, server, status === 481 || status === 401 || status === 407 ? 480 : status);
}
