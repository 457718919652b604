import type { AccountId } from '../base/index.ts';
import type { Binding, Device, User } from '../directory/index.ts';
import type { Flow } from '../link/index.ts';
import {
  callIdOf,
  createResponse,
  cseqOf,
  END_TO_END_FEATURE,
  hasFeature,
  header,
  headerValues,
  type NameAddr,
  nameAddrsOf,
  numberOf,
  outboundOf,
  parseNameAddr,
  parseUri,
  type SipHeader,
  type SipRequest,
  type SipResponse,
  type SipUri,
  tokensOf,
  uriEquals,
  viasOf,
} from '../sip/index.ts';
import { bindingId, type StoredBinding } from './bindings.ts';

export const MIN_EXPIRES_SEC = 60;
export const MAX_EXPIRES_SEC = 3600;
const DEFAULT_EXPIRES_SEC = 3600;
/** RFC 5626 §5.4: after how long without a keep-alive a flow is taken for dead. Below the usual lifetime of a NAT's entry. */
const FLOW_TIMER_SEC = { stream: 120, udp: 25 };
const MAX_USER_AGENT = 200;
const MAX_CONTACT = 1000;
const MAX_PATHS = 8;
const UNDERSTOOD: ReadonlySet<string> = new Set(['path', 'outbound']);

export interface RegisterInput {
  readonly request: SipRequest;
  readonly flow: Flow;
  readonly account: AccountId;
  /** Who sent it, as `authenticate` found. */
  readonly device: Device;
  readonly user: User;
  /** What this device has registered and has not expired. */
  readonly bindings: readonly StoredBinding[];
  readonly utcMs: number;
  readonly toTag: string;
  /** A phone that asks for longer is registered for so long (§10.3: the registrar may shorten). Default 3600. */
  readonly maxExpiresSec?: number;
}

export interface RegisterOutcome {
  /** May leave once `put` and `removed` are committed. */
  readonly response: SipResponse;
  readonly put: readonly StoredBinding[];
  readonly removed: readonly StoredBinding[];
}

/** RFC 3261 §10.3 from step 5 on (who it is and whether they may were settled before), RFC 3327, RFC 5626 §6. All or nothing. */
export function register(input: RegisterInput): RegisterOutcome {
  const { request, bindings, device } = input;
  const refuse = (status: number, headers: Readonly<Record<string, string>> = {}): RegisterOutcome => ({
    response: createResponse(request, status, { toTag: input.toTag, headers }),
    put: [],
    removed: [],
  });

  const unknown = tokensOf(request, 'Require').filter((option) => !UNDERSTOOD.has(option.toLowerCase()));
  if (unknown.length > 0) return refuse(420, { Unsupported: unknown.join(', ') });
  const callId = callIdOf(request);
  const cseq = cseqOf(request)?.seq;
  const contacts = nameAddrsOf(request, 'Contact');
  const paths = headerValues(request, 'Path');
  if (callId === undefined || cseq === undefined || contacts === undefined) return refuse(400);
  if (paths.length > MAX_PATHS || !paths.every((path) => parseNameAddr(path))) return refuse(400);

  const expiresSec = header(request, 'Expires') === undefined ? undefined : numberOf(request, 'Expires');
  if (contacts.some((contact) => contact.uri === '*')) {
    if (contacts.length > 1 || expiresSec !== 0) return refuse(400);
    if (bindings.some(({ binding }) => isLate(binding, callId, cseq))) return refuse(500);
    return accept(input, { put: [], removed: bindings, outbound: false });
  }
  if (contacts.length > device.maxBindings) return refuse(403);

  const usesOutbound = contacts.some((contact) => outboundOf(contact.params).regId !== undefined);
  if (usesOutbound && !firstHopKeepsFlow(request, paths)) {
    // §6: a proxy between us and the phone that keeps no flow. The phone asks again without outbound.
    if (supportsOutbound(request)) return refuse(439);
  }

  const put = new Map<string, StoredBinding>();
  const removed = new Map<string, StoredBinding>();
  for (const contact of contacts) {
    const uri = parseUri(contact.uri);
    if (uri === undefined || uri.scheme === 'tel' || contact.uri.length > MAX_CONTACT) return refuse(400);
    const askedSec = secondsOf(contact) ?? expiresSec ?? DEFAULT_EXPIRES_SEC;
    if (askedSec > 0 && askedSec < MIN_EXPIRES_SEC)
      return refuse(423, { 'Min-Expires': String(MIN_EXPIRES_SEC) });
    const { instanceId, regId } = outboundOf(contact.params);
    const known = bindings.find(({ binding }) =>
      isSame(binding, { text: contact.uri, uri, instanceId, regId, callId, flow: input.flow }),
    );
    if (known && isLate(known.binding, callId, cseq)) return refuse(500);
    if (askedSec === 0) {
      if (known) removed.set(known.id, known);
      continue;
    }
    // Of two values the later counts: a wall clock that was set back must not hide a renewal.
    const registeredUtcMs = Math.max(input.utcMs, (known?.binding.registeredUtcMs ?? 0) + 1);
    const id =
      known?.id ??
      (instanceId !== undefined && regId !== undefined
        ? bindingId(device.id, instanceId, String(regId))
        : bindingId(device.id, contact.uri));
    put.set(id, {
      id,
      binding: {
        v: 1,
        account: input.account,
        userId: input.user.id,
        deviceId: device.id,
        contact: contact.uri,
        flow: input.flow,
        path: paths,
        ...(instanceId !== undefined && { instanceId }),
        ...(instanceId !== undefined && regId !== undefined && { regId }),
        ...(hasFeature(contact.params, END_TO_END_FEATURE) && { endToEnd: true as const }),
        q: qOf(contact),
        callId,
        cseq,
        userAgent: (header(request, 'User-Agent') ?? '').slice(0, MAX_USER_AGENT),
        registeredUtcMs,
        expiresUtcMs: input.utcMs + Math.min(askedSec, input.maxExpiresSec ?? MAX_EXPIRES_SEC) * 1000,
      },
    });
  }

  // A phone that lost its memory registers under new names; it gets in, and what was heard of longest ago goes.
  const kept = bindings.filter(({ id }) => !put.has(id) && !removed.has(id));
  const surplus = kept.length + put.size - device.maxBindings;
  if (put.size > 0 && surplus > 0) {
    const oldest = [...kept].sort((a, b) => a.binding.registeredUtcMs - b.binding.registeredUtcMs);
    for (const one of oldest.slice(0, surplus)) removed.set(one.id, one);
  }
  return accept(input, {
    put: [...put.values()],
    removed: [...removed.values()],
    outbound: usesOutbound && supportsOutbound(request) && put.size > 0,
  });
}

function accept(
  input: RegisterInput,
  change: { put: readonly StoredBinding[]; removed: readonly StoredBinding[]; outbound: boolean },
): RegisterOutcome {
  const { request, utcMs } = input;
  const replaced = new Set([...change.put, ...change.removed].map(({ id }) => id));
  const present = [...input.bindings.filter(({ id }) => !replaced.has(id)), ...change.put];
  const headers: SipHeader[] = present.map(({ binding }) => ({
    name: 'Contact',
    value: contactOf(binding, utcMs),
  }));
  headers.push({ name: 'Date', value: dateOf(utcMs) });
  // RFC 3327 §5.3: the phone learns the way by which it is reached, if it can read that.
  const supported = tokensOf(request, 'Supported').map((option) => option.toLowerCase());
  if (change.put.length > 0 && supported.includes('path'))
    for (const path of headerValues(request, 'Path')) headers.push({ name: 'Path', value: path });
  if (change.outbound) {
    headers.push({ name: 'Require', value: 'outbound' });
    const timerSec = input.flow.transport === 'udp' ? FLOW_TIMER_SEC.udp : FLOW_TIMER_SEC.stream;
    headers.push({ name: 'Flow-Timer', value: String(timerSec) });
  }
  headers.push({ name: 'Supported', value: 'path, outbound' });
  return {
    response: createResponse(request, 200, { toTag: input.toTag, headers }),
    put: change.put,
    removed: change.removed,
  };
}

let dateSec = 0;
let date = '';
/** Its text is the same for all that are answered within one second. */
function dateOf(utcMs: number): string {
  const sec = Math.floor(utcMs / 1000);
  if (sec !== dateSec) {
    dateSec = sec;
    date = new Date(utcMs).toUTCString();
  }
  return date;
}

function contactOf(binding: Binding, utcMs: number): string {
  const q = binding.q === 1 ? '' : `;q=${binding.q}`;
  const instance = binding.instanceId === undefined ? '' : `;+sip.instance="${binding.instanceId}"`;
  const regId = binding.regId === undefined ? '' : `;reg-id=${binding.regId}`;
  const expiresSec = Math.max(1, Math.round((binding.expiresUtcMs - utcMs) / 1000));
  const features = binding.endToEnd === true ? `;${END_TO_END_FEATURE}` : '';
  return `<${binding.contact}>${q}${instance}${regId}${features};expires=${expiresSec}`;
}

/** Whether a Contact means this binding. */
function isSame(
  binding: Binding,
  asked: {
    readonly text: string;
    readonly uri: SipUri;
    readonly instanceId: string | undefined;
    readonly regId: number | undefined;
    readonly callId: string;
    readonly flow: Flow;
  },
): boolean {
  const { instanceId, regId } = asked;
  const outbound = instanceId !== undefined && regId !== undefined;
  // RFC 5626 §6: instance and reg-id name a binding, whatever the URI is.
  if (outbound || binding.regId !== undefined)
    return outbound && binding.instanceId === instanceId && binding.regId === regId;
  if (binding.contact === asked.text) return true;
  const known = parseUri(binding.contact);
  if (known !== undefined && uriEquals(known, asked.uri)) return true;
  // A phone that was started anew has another Call-ID (§10.2) and often another port and user part: its former binding leads nowhere.
  return (
    instanceId !== undefined &&
    binding.instanceId === instanceId &&
    binding.callId !== asked.callId &&
    binding.flow.transport === asked.flow.transport
  );
}

/** §10.3 step 7: an older request of the same phone that came late. The same one again is a retransmission and harmless. */
const isLate = (binding: Binding, callId: string, cseq: number): boolean =>
  binding.callId === callId && cseq < binding.cseq;

const supportsOutbound = (request: SipRequest): boolean =>
  ['Supported', 'Require'].some((name) =>
    tokensOf(request, name).some((option) => option.toLowerCase() === 'outbound'),
  );

/** RFC 5626 §6: the request came straight from the phone, or the proxy next to the phone put `ob` into its Path. */
function firstHopKeepsFlow(request: SipRequest, paths: readonly string[]): boolean {
  if ((viasOf(request)?.length ?? 1) <= 1) return true;
  const nextToPhone = paths.at(-1);
  const uri = nextToPhone === undefined ? undefined : parseUri(parseNameAddr(nextToPhone)?.uri ?? '');
  return uri !== undefined && uri.params['ob'] !== undefined;
}

/** Malformed: undefined, so that the default holds (§10.3 step 7). */
function secondsOf(contact: NameAddr): number | undefined {
  const text = contact.params['expires'];
  return typeof text === 'string' && /^\d{1,10}$/.test(text) ? Number(text) : undefined;
}

function qOf(contact: NameAddr): number {
  const text = contact.params['q'];
  return typeof text === 'string' && /^(?:0(?:\.\d{0,3})?|1(?:\.0{0,3})?)$/.test(text) ? Number(text) : 1;
}
