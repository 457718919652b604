import { failed, ok, type Result } from '../base/index.ts';
import { header, headerValues, parseNameAddr, parseUri, type SipRequest } from '../sip/index.ts';
import { mayUse } from './end-to-end-rules.ts';
import { contactFor } from './headers.ts';
import type { Call, Leg, ServerRequest } from './model.ts';
import { calledUser, dialledOf, indexOf, partyOf } from './route.ts';
import { putStream } from './streams.ts';
import { notify, partyOfLeg, ringFor, targetFor } from './transferring.ts';
import { answerRequest } from './wire.ts';
import { peerOf, type Work } from './work.ts';

/*
 * Direct transfer (PH-CALL-01, PH-CALL-02) by REFER (RFC 3515, RFC 5589 §6). The party that stays becomes who waits (`callerLeg`), the new
 * one rings as in any call, and the one that asked steps aside and hears by NOTIFY what comes of it. If nobody answers it has its party back,
 * or is called when it has hung up meanwhile.
 */

/** A transfer that was asked for over this leg. Plain data. */
export interface Transfer {
  /** CSeq of the REFER: the subscription's id (RFC 3515 §2.4.6). */
  readonly refer: number;
  /** The peer wants to be told (RFC 4488). */
  readonly notifies: boolean;
  /** Who was called before: to be put back. */
  readonly target?: Call['target'];
}

/** In the record. */
const MAX_REMEMBERED = 20;

/** REFER of an end that talks. */
export function refer(work: Work, leg: Leg, server: ServerRequest, request: SipRequest): void {
  const { call, ctx } = work;
  const wish = judge(work, leg, request);
  if (!wish.ok) {
    const { status, reason } = wish.error;
    const warning = { name: 'Warning', value: `399 ${ctx.serverName} "${reason}"` };
    answerRequest(work, leg, server, status, { headers: [warning] });
    return;
  }
  const { stays, target } = wish.value;
  const notifies = header(request, 'Refer-Sub')?.trim().toLowerCase() !== 'false';
  answerRequest(work, leg, server, 202, {
    headers: [
      { name: 'Contact', value: contactFor(work, leg) },
      ...(notifies ? [] : [{ name: 'Refer-Sub', value: 'false' }]),
    ],
  });
  const before = call.target === undefined ? {} : { target: call.target };
  leg.transfer = { refer: server.cseq, notifies, ...before };
  const asked = { by: leg.user, to: target.user, utcMs: ctx.utcMs };
  call.transfers = [...(call.transfers ?? []), asked].slice(-MAX_REMEMBERED);
  // Who waits comes first, whoever called.
  call.legs = [stays, ...call.legs.filter((one) => one !== stays)];
  call.presented = partyOfLeg(work, stays);
  delete leg.media.source;
  delete stays.media.source;
  notify(work, leg, 100);
  ringFor(work, target);
  putStream(work, leg);
  putStream(work, stays);
}

interface Refusal {
  readonly status: number;
  readonly reason: string;
}

interface Wish {
  readonly stays: Leg;
  readonly target: NonNullable<Call['target']>;
}

const no = (status: number, reason: string): Result<never, Refusal> => failed({ status, reason });

/** Who would stay, and with whom; or why not. */
function judge(work: Work, leg: Leg, request: SipRequest): Result<Wish, Refusal> {
  const { call } = work;
  const stays = peerOf(call, leg);
  const talks = call.state === 'talking' || call.state === 'held';
  if (!talks || stays?.state !== 'confirmed' || leg.state !== 'confirmed')
    return no(491, 'there is nobody to be transferred just now');
  const target = targetOf(work, leg, request);
  if (!target.ok) return target;
  const { user } = target.value;
  if (user === leg.user || user === stays.user) return no(403, 'a party of this call cannot be its target');
  if (stays.media.fax !== undefined) return no(488, 'a fax is under way');
  // Both ends are to be told first that the mode ends; a transfer does not do that yet.
  const freely = mayUse(call, 'transfer');
  if (!freely.ok || freely.value !== 'freely') return no(488, 'the call is encrypted end to end');
  return ok({ stays, target: target.value });
}

function targetOf({ ctx }: Work, leg: Leg, request: SipRequest): Result<Wish['target'], Refusal> {
  const [value, ...more] = headerValues(request, 'Refer-To');
  const uri = value === undefined ? undefined : (parseNameAddr(value)?.uri ?? value);
  const parsed = uri === undefined ? undefined : parseUri(uri);
  if (uri === undefined || parsed === undefined || more.length > 0)
    return no(400, 'REFER needs one Refer-To with a SIP or tel URI');
  if (parsed.scheme !== 'tel' && /(?:^|&)replaces=/i.test(parsed.headers ?? ''))
    return no(501, 'joining two calls by Replaces is not possible');
  const by = indexOf(ctx.snapshot).userById(leg.user);
  const dialled = dialledOf(uri);
  const user = by && dialled !== undefined ? calledUser(ctx.snapshot, by, dialled) : undefined;
  return user === undefined
    ? no(404, 'nobody has the number to transfer to')
    : ok(targetFor(partyOf(user), user.ring));
}
