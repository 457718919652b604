import { type StreamId, unreachable } from '../base/index.ts';
import type { MediaEvent, SrtpKey } from '../media/index.ts';
import { adopted } from './adopt.ts';
import { begin } from './begin.ts';
import { endCall, finishIfReported } from './end.ts';
import { follow, isKnownFlow } from './flow.ts';
import { concernsFlowOf, edgeBack, edgeGone, findFlow, flowEnded } from './lost-phone.ts';
import type { Call, Lookup } from './model.ts';
import { placeFound, placeRefused, renewMedia, runRenewals, streamsLost } from './renew-media.ts';
import { receive, refuseStranger, renewInvite } from './requests.ts';
import { receiveReply } from './responses.ts';
import { deviceFailed, inviteReadyDevices, ringDevices } from './ring.ts';
import { nextWakeMs, runTimers } from './timers.ts';
import { transportTold } from './transport.ts';
import type { CallContext, CallEvent, NewCall, Step } from './types.ts';
import { copyOf, legById, type Work } from './work.ts';

/** A call that begins: an authenticated INVITE without a dialog. */
export function beginCall(newCall: NewCall, ctx: CallContext): Step<Call> {
  return finished(begin(newCall, ctx));
}

/** What follows from an event. The call that comes in is not changed. */
export function step(call: Call, event: CallEvent, ctx: CallContext): Step<Call> {
  if (changesNothing(call, event, ctx)) return { call, commands: [], wakeAtMs: nextWakeMs(call) };
  const work: Work = { call: copyOf(call), ctx, commands: [] };
  act(work, event);
  runRenewals(work);
  return finished(work);
}

/** The same value again tells the switch that there is nothing to write: each change of a stream is answered by its port once more. */
function changesNothing(call: Call, event: CallEvent, ctx: CallContext): boolean {
  const { nowMs } = ctx;
  if (event.type === 'wake') return (nextWakeMs(call) ?? nowMs + 1) > nowMs;
  if (event.type === 'flow-closed' || event.type === 'edge') return !concernsFlowOf(call, event);
  if (event.type === 'media-event') return !isHeeded(call, event.event, ctx);
  if (event.type === 'media-lost')
    return !call.legs.some(({ media }) => isOneOf(event.streams, media.stream));
  if (event.type !== 'media-opened') return false;
  const { opened } = event;
  const media = call.legs.find((leg) => leg.media.stream === opened.stream)?.media;
  const known = media?.opened;
  return (
    media?.renewal?.ready !== false &&
    known?.address === opened.address &&
    known.port === opened.port &&
    known.rtcpPort === opened.rtcpPort &&
    sameKeys(known.sendKeys, opened.sendKeys)
  );
}

const sameKeys = (some: readonly SrtpKey[] = [], others: readonly SrtpKey[] = []): boolean =>
  some.length === others.length && some.every(({ keySalt }, at) => keySalt === others[at]?.keySalt);

function act(work: Work, event: CallEvent): void {
  switch (event.type) {
    case 'message':
      if (event.message.kind === 'request') receive(work, event.message, event.flow);
      else receiveReply(work, event.message, event.flow);
      return;
    case 'bindings':
      bindingsFound(work, event);
      return;
    case 'media-opened':
      streamOpened(work, event);
      return;
    case 'media-failed':
      streamFailed(work, event);
      return;
    case 'media-lost':
      streamsLost(work, event.streams);
      return;
    case 'media-closed':
      streamsClosed(work, event);
      return;
    case 'media-event':
      mediaTold(work, event);
      return;
    case 'wake':
      runTimers(work);
      return;
    case 'flow-closed':
      flowEnded(work, event.flow);
      return;
    case 'edge':
      if (event.up) edgeBack(work, event.edge);
      else edgeGone(work, event.edge);
      return;
    case 'adopted':
      adopted(work);
      return;
    case 'hangup':
      hangUp(work, event);
      return;
    default:
      unreachable(event);
  }
}

const isOneOf = (streams: readonly StreamId[], stream: StreamId | undefined): boolean =>
  stream !== undefined && streams.includes(stream);

type Event<Type extends CallEvent['type']> = Extract<CallEvent, { readonly type: Type }>;

/** Answers every question about that user at once. */
function bindingsFound(work: Work, { user, bindings, elsewhere }: Event<'bindings'>): void {
  const { call } = work;
  const answered = call.lookups.filter((lookup) => lookup.user === user);
  call.lookups = call.lookups.filter((lookup) => lookup.user !== user);
  for (const lookup of answered) {
    switch (lookup.why) {
      case 'ring':
        if (call.state === 'routing') ringDevices(work, bindings, elsewhere);
        break;
      case 'judge-flow':
        judgeFlow(work, lookup, bindings);
        break;
      case 'find-flow':
        findFlow(work, lookup, bindings);
        break;
      default:
        unreachable(lookup);
    }
  }
}

function judgeFlow(
  work: Work,
  { leg: id, message, flow }: Lookup & { readonly why: 'judge-flow' },
  bindings: Event<'bindings'>['bindings'],
): void {
  const leg = legById(work.call, id);
  if (leg === undefined) return;
  if (!isKnownFlow(bindings, leg.user, flow)) {
    if (message.kind === 'request') refuseStranger(work, leg, message, flow);
    return;
  }
  if (message.kind === 'request' && renewInvite(work, leg, message, flow)) return;
  follow(work, leg, flow);
  if (message.kind === 'request') receive(work, message, flow);
  else receiveReply(work, message, flow);
}

function streamOpened(work: Work, { opened }: Event<'media-opened'>): void {
  const leg = work.call.legs.find(({ media }) => media.stream === opened.stream);
  if (leg === undefined || work.call.end !== undefined) {
    // Its leg ended while it was being opened; the close may have come too early for the media process.
    work.commands.push({ type: 'media-close', streams: [opened.stream] });
    return;
  }
  const { address, port, rtcpPort, fingerprint, transcodes, sendKeys } = opened;
  leg.media.opened = {
    address,
    port,
    rtcpPort,
    ...(fingerprint === undefined ? {} : { fingerprint }),
    ...(transcodes === undefined ? {} : { transcodes }),
    ...(sendKeys === undefined ? {} : { sendKeys }),
  };
  if (leg.media.renewal?.ready === false) placeFound(work, leg);
  inviteReadyDevices(work);
}

/** A stream that never opened ends its leg; one that runs goes on as it was, and one that is lost is replaced. */
function streamFailed(work: Work, { stream, code }: Event<'media-failed'>): void {
  const { call } = work;
  const leg = call.legs.find(({ media }) => media.stream === stream);
  if (leg === undefined || call.end !== undefined) return;
  if (leg.media.opened !== undefined) {
    if (code === 'unknown_stream') renewMedia(work, leg);
    else if (leg.media.renewal?.ready === false) placeRefused(work, leg, code);
    return;
  }
  if (leg.role === 'callee') {
    deviceFailed(work, leg, 503, code);
    return;
  }
  endCall(work, {
    outcome: 'failed',
    status: 503,
    by: 'system',
    reason: code,
    answerHeaders: [{ name: 'Retry-After', value: '5' }],
  });
}

function streamsClosed(work: Work, { reports }: Event<'media-closed'>): void {
  const { call } = work;
  if (call.state === 'ended') return;
  for (const report of reports) {
    const isNew = !call.reports.some(({ stream }) => stream === report.stream);
    // Also of an end that has left a call that goes on.
    if (isNew && call.legs.some(({ media }) => media.stream === report.stream)) call.reports.push(report);
  }
}

/** What media tells of one-way audio counts from the answer on: a phone that only rings need not send. */
const ONE_WAY_AFTER_MS = 5000;

function isHeeded(call: Call, event: MediaEvent, { utcMs }: CallContext): boolean {
  if (event.type === 'one-way' || event.type === 'mute')
    return call.answeredUtcMs !== undefined && utcMs - call.answeredUtcMs >= ONE_WAY_AFTER_MS;
  return event.type === 'silent' || event.type === 'transport';
}

function mediaTold(work: Work, { event }: Event<'media-event'>): void {
  const { call, ctx } = work;
  if (
    event.type !== 'silent' &&
    event.type !== 'transport' &&
    event.type !== 'one-way' &&
    event.type !== 'mute'
  )
    return;
  const leg = call.legs.find(({ media }) => media.stream === event.stream);
  if (leg === undefined) return;
  const inCallMs = (ms: number): number => Math.min(ms, ctx.utcMs - (call.answeredUtcMs ?? ctx.utcMs));
  const longer = (known: number | undefined, ms: number): number => Math.max(known ?? 0, ms);
  if (event.type === 'silent') leg.silentForMs = longer(leg.silentForMs, event.forMs);
  else if (event.type === 'mute') leg.muteForMs = longer(leg.muteForMs, inCallMs(event.forMs));
  else if (event.type === 'one-way' && event.inCall)
    leg.lostAudioForMs = longer(leg.lostAudioForMs, inCallMs(event.forMs));
  else if (event.type === 'one-way') leg.unheardForMs = longer(leg.unheardForMs, inCallMs(event.forMs));
  else transportTold(work, leg, event);
}

const MAX_COMMAND_IDS = 16;

function hangUp(work: Work, { commandId, actor }: Event<'hangup'>): void {
  const { call } = work;
  if (call.appliedCommandIds.includes(commandId)) return;
  call.appliedCommandIds = [...call.appliedCommandIds, commandId].slice(-MAX_COMMAND_IDS);
  const reason = `ended by ${actor}`;
  endCall(
    work,
    call.answeredUtcMs === undefined
      ? { outcome: 'cancelled', status: 487, by: 'system', reason }
      : { outcome: 'answered', status: 200, by: 'system', reason },
  );
}

/** Drops what is over, and the call itself when nothing of it could be asked for again. */
function finished(work: Work): Step<Call> {
  const { call, commands } = work;
  finishIfReported(work);
  for (const leg of call.legs) {
    leg.clients = leg.clients.filter(({ tx }) => tx.state !== 'Terminated');
    leg.servers = leg.servers.filter(({ tx }) => tx.state !== 'Terminated');
    // Repeated 2xx come while the INVITE's transaction lives (RFC 6026), and no longer.
    if (leg.ack !== undefined && !leg.clients.some(({ method }) => method === 'INVITE')) delete leg.ack;
  }
  const isForgotten =
    call.state === 'ended' &&
    call.legs.every(
      (leg) => leg.clients.length === 0 && leg.servers.length === 0 && leg.answer === undefined,
    );
  return isForgotten
    ? { call: undefined, commands, wakeAtMs: undefined }
    : { call, commands, wakeAtMs: nextWakeMs(call) };
}
