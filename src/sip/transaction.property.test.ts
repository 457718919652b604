import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  type ClientTransaction,
  createRequest,
  createResponse,
  nextDeadlineMs,
  receiveRequest,
  receiveResponse,
  respond,
  type ServerTransaction,
  serialize,
  startClient,
  startServer,
  type Transaction,
  tick,
  transportFailed,
} from './index.ts';

const request = (method: string, cseqMethod = method) =>
  createRequest({
    method,
    uri: 'sip:1002@example.com',
    headers: {
      Via: 'SIP/2.0/UDP 192.0.2.1:5070;branch=z9hG4bKabc',
      From: '<sip:1001@example.com>;tag=f',
      To: '<sip:1002@example.com>',
      'Call-ID': 'c1',
      CSeq: `1 ${cseqMethod}`,
    },
  });

/** State → the states that RFC 3261 §17 and RFC 6026 let it go to, and the timers that may run in it. */
const diagrams: Record<Transaction['kind'], Record<string, { to: string[]; timers: string }>> = {
  'invite-client': {
    Calling: { to: ['Proceeding', 'Accepted', 'Completed', 'Terminated'], timers: 'AB' },
    Proceeding: { to: ['Accepted', 'Completed', 'Terminated'], timers: '' },
    Accepted: { to: ['Terminated'], timers: 'M' },
    Completed: { to: ['Terminated'], timers: 'D' },
    Terminated: { to: [], timers: '' },
  },
  'non-invite-client': {
    Trying: { to: ['Proceeding', 'Completed', 'Terminated'], timers: 'EF' },
    Proceeding: { to: ['Completed', 'Terminated'], timers: 'EF' },
    Completed: { to: ['Terminated'], timers: 'K' },
    Terminated: { to: [], timers: '' },
  },
  'invite-server': {
    Proceeding: { to: ['Accepted', 'Completed', 'Terminated'], timers: '' },
    Accepted: { to: ['Terminated'], timers: 'L' },
    Completed: { to: ['Confirmed', 'Terminated'], timers: 'GH' },
    Confirmed: { to: ['Terminated'], timers: 'I' },
    Terminated: { to: [], timers: '' },
  },
  'non-invite-server': {
    Trying: { to: ['Proceeding', 'Completed', 'Terminated'], timers: '' },
    Proceeding: { to: ['Completed', 'Terminated'], timers: '' },
    Completed: { to: ['Terminated'], timers: 'J' },
    Terminated: { to: [], timers: '' },
  },
};

const input = fc.oneof(
  fc.record({
    type: fc.constant('message' as const),
    status: fc.constantFrom(100, 180, 183, 200, 202, 302, 404, 486, 503, 603),
  }),
  fc.record({ type: fc.constant('ack' as const) }),
  fc.record({
    type: fc.constant('respond' as const),
    status: fc.constantFrom(100, 180, 200, 302, 486, 500, 603),
  }),
  // Early, on time or late by any amount: what a busy or just adopting process does.
  fc.record({ type: fc.constant('tick' as const), byMs: fc.integer({ min: 0, max: 70_000 }) }),
  fc.record({ type: fc.constant('tick-due' as const) }),
  fc.record({ type: fc.constant('transport-error' as const) }),
);

test('any sequence of inputs walks the diagram, ends, and survives JSON at every step', () => {
  fc.assert(
    fc.property(
      fc.constantFrom('INVITE', 'BYE'),
      fc.constantFrom('client', 'server'),
      fc.boolean(),
      fc.array(input, { maxLength: 40 }),
      (method, side, reliable, inputs) => {
        let nowMs = 1000;
        let terminatedSaid = 0;
        let tx: Transaction =
          side === 'client'
            ? startClient(request(method), { reliable, nowMs }).tx
            : startServer(request(method), { reliable }).tx;
        const apply = (step: { tx: Transaction; outputs: readonly { type: string }[] }): void => {
          const allowed = diagrams[tx.kind][tx.state]!;
          if (step.tx.state !== tx.state) expect(allowed.to).toContain(step.tx.state);
          else if (tx.state === 'Terminated') expect(step.outputs).toEqual([]);
          const reached = diagrams[step.tx.kind][step.tx.state]!;
          for (const timer of Object.keys(step.tx.timers)) expect(reached.timers).toContain(timer);
          if (reliable) expect(Object.keys(step.tx.timers).join('')).not.toMatch(/[ADEGIJK]/);
          terminatedSaid += step.outputs.filter((output) => output.type === 'terminated').length;
          expect(terminatedSaid).toBe(step.tx.state === 'Terminated' ? 1 : 0);
          expect(JSON.parse(JSON.stringify(step.tx))).toStrictEqual(step.tx);
          tx = step.tx;
        };
        const fromOther = (): Transaction => JSON.parse(JSON.stringify(tx)) as Transaction;
        for (const event of inputs) {
          const current = fromOther();
          if (event.type === 'tick') nowMs += event.byMs;
          if (event.type === 'tick-due') nowMs = Math.max(nowMs, nextDeadlineMs(tx) ?? nowMs);
          if (event.type === 'tick' || event.type === 'tick-due') apply(tick(current, nowMs));
          else if (event.type === 'transport-error') apply(transportFailed(current));
          else if (side === 'client') {
            const status = event.type === 'ack' ? 100 : event.status;
            const response = createResponse(request(method), status, { toTag: 't' });
            apply(receiveResponse(current as ClientTransaction, response, nowMs));
          } else if (event.type === 'respond') {
            const text = serialize(createResponse(request(method), event.status, { toTag: 't' }));
            apply(respond(current as ServerTransaction, text, event.status, nowMs));
          } else {
            const ack = event.type === 'ack' && method === 'INVITE';
            apply(receiveRequest(current as ServerTransaction, request(ack ? 'ACK' : method), nowMs));
          }
          // A deadline that has passed is always acted upon: nothing is due right after a tick.
          if (event.type === 'tick' || event.type === 'tick-due') {
            expect(nextDeadlineMs(tx) ?? Number.POSITIVE_INFINITY).toBeGreaterThan(nowMs);
          }
        }
        // Left alone, every transaction that waits for a timer comes to its end.
        for (let left = 100; nextDeadlineMs(tx) !== undefined; left--) {
          expect(left).toBeGreaterThan(0);
          nowMs = Math.max(nowMs, nextDeadlineMs(tx)!);
          apply(tick(fromOther(), nowMs));
        }
      },
    ),
    { numRuns: 2000 },
  );
});
