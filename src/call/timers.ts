import {
  nextDeadlineMs,
  repetitionDeadlineMs,
  repetitionDue,
  sessionTimerDeadlineMs,
  tick,
  tickReliable,
} from '../sip/index.ts';
import { cancelInvite, endCall, finishIfReported, sendBye } from './end.ts';
import { doubtFlow, runLost } from './lost-phone.ts';
import type { Call, ClientRequest, Leg } from './model.ts';
import { runNewContact, runSessionTimer } from './refresh.ts';
import { timedOut } from './responses.ts';
import { deviceTimedOut, nobodyAnswered } from './ring.ts';
import { runTakeUp } from './take-up.ts';
import { ringingFailed } from './transferring.ts';
import { openInvite, sendOutputs, sendResponseText } from './wire.ts';
import type { Work } from './work.ts';

/** Runs everything that is due. Waking early or late is harmless. */
export function runTimers(work: Work): void {
  for (const leg of [...work.call.legs]) {
    tickTransactions(work, leg);
    repeatAnswer(work, leg);
    repeatReliable(work, leg);
    runSessionTimer(work, leg);
    runNewContact(work, leg);
    runTakeUp(work, leg);
    runLost(work, leg);
    if (leg.ringUntilMs !== undefined && leg.ringUntilMs <= work.ctx.nowMs) deviceTimedOut(work, leg);
  }
  const { call, ctx } = work;
  if (call.ringUntilMs !== undefined && call.ringUntilMs <= ctx.nowMs) {
    if (call.state === 'routing') {
      ringingFailed(work, {
        outcome: 'failed',
        status: 500,
        by: 'system',
        reason: 'no word of registrations',
      });
    } else nobodyAnswered(work);
  }
  finishIfReported(work);
}

function tickTransactions(work: Work, leg: Leg): void {
  for (const client of [...leg.clients]) {
    const { tx, outputs } = tick(client.tx, work.ctx.nowMs);
    client.tx = tx;
    sendOutputs(work, leg, outputs);
    if (outputs.some(({ type }) => type === 'timeout')) timedOut(work, leg, client);
    else if (client.giveUpAtMs !== undefined && client.giveUpAtMs <= work.ctx.nowMs)
      giveUp(work, leg, client);
    if (client.doubtAtMs === undefined || client.doubtAtMs > work.ctx.nowMs) continue;
    delete client.doubtAtMs;
    if (client.tx.state === 'Calling' || client.tx.state === 'Trying') doubtFlow(work, leg);
  }
  for (const server of leg.servers) {
    const { tx, outputs } = tick(server.tx, work.ctx.nowMs);
    server.tx = tx;
    sendOutputs(work, leg, outputs, server.remote);
  }
}

/** An INVITE that had a 1xx and nothing since: cancelled in its turn, then forgotten. */
function giveUp(work: Work, leg: Leg, client: ClientRequest): void {
  delete client.giveUpAtMs;
  if (client.tx.state !== 'Calling' && client.tx.state !== 'Proceeding') return;
  const isCancelled =
    leg.clients.some(({ method }) => method === 'CANCEL') || client.purpose.kind === 'invite';
  if (!isCancelled) {
    cancelInvite(work, leg, client);
    return;
  }
  client.tx = { ...client.tx, state: 'Terminated', timers: {} } as typeof client.tx;
  timedOut(work, leg, client);
}

/** RFC 3261 §13.3.1.4: a 2xx until its ACK; without one the call ends with BYE. */
function repeatAnswer(work: Work, leg: Leg): void {
  if (leg.answer === undefined) return;
  const due = repetitionDue(leg.answer, work.ctx.nowMs);
  if (due.type === 'send') {
    const { cseq } = leg.answer;
    leg.answer = { ...due.repetition, cseq };
    const invite = leg.servers.find((server) => server.method === 'INVITE' && server.cseq === cseq);
    if (invite !== undefined) sendResponseText(work, leg, invite, due.text, 200);
  } else if (due.type === 'expired') {
    delete leg.answer;
    if (leg.state === 'ending') sendBye(work, leg);
    else {
      leg.state = 'confirmed';
      endCall(work, {
        outcome: 'failed',
        status: 408,
        by: 'system',
        reason: 'the answer was never acknowledged',
      });
    }
  }
}

/** RFC 3262 §3: a reliable 1xx until its PRACK; without one the INVITE is refused. */
function repeatReliable(work: Work, leg: Leg): void {
  if (leg.reliableSender === undefined) return;
  const step = tickReliable(leg.reliableSender, work.ctx.nowMs);
  leg.reliableSender = step.sender;
  const invite = openInvite(leg);
  if (invite !== undefined) for (const text of step.texts) sendResponseText(work, leg, invite, text, 180);
  if (step.expired) {
    endCall(work, { outcome: 'failed', status: 504, by: 'system', reason: 'a 1xx was never acknowledged' });
  }
}

/** When the call wants to be woken; undefined when only an event moves it on. */
export function nextWakeMs(call: Call): number | undefined {
  let earliestMs = Number.POSITIVE_INFINITY;
  const at = (ms: number | undefined): void => {
    if (ms !== undefined && ms < earliestMs) earliestMs = ms;
  };
  at(call.ringUntilMs);
  at(call.closing?.untilMs);
  for (const leg of call.legs) {
    for (const { tx, giveUpAtMs, doubtAtMs } of leg.clients) {
      at(nextDeadlineMs(tx));
      at(giveUpAtMs);
      at(doubtAtMs);
    }
    for (const { tx } of leg.servers) at(nextDeadlineMs(tx));
    if (leg.answer !== undefined) at(repetitionDeadlineMs(leg.answer));
    const outstanding = leg.reliableSender?.outstanding;
    if (outstanding !== undefined) at(repetitionDeadlineMs(outstanding));
    if (leg.state === 'confirmed') {
      if (leg.sessionTimer !== undefined) at(sessionTimerDeadlineMs(leg.sessionTimer));
      at(leg.refreshAgainAtMs);
      at(leg.newContactAtMs);
      at(leg.takeUp?.atMs);
    }
    if (leg.state !== 'ended') {
      at(leg.lost?.nextMs);
      at(leg.lost?.untilMs);
    }
    at(leg.ringUntilMs);
    if (leg.state !== 'ended') at(leg.media.renewal?.againAtMs);
  }
  return earliestMs === Number.POSITIVE_INFINITY ? undefined : earliestMs;
}
