import { describe, expect, test } from 'vitest';
import {
  createRequest,
  createResponse,
  header,
  nextDeadlineMs,
  parseMessage,
  receiveRequest,
  receiveResponse,
  respond,
  type SipRequest,
  type SipResponse,
  serialize,
  startClient,
  startServer,
  type Transaction,
  type TransactionOutput,
  tick,
  toBytes,
  transportFailed,
} from './index.ts';

const START_MS = 1_000_000;

function request(method: string, extra: Record<string, string> = {}): SipRequest {
  return createRequest({
    method,
    uri: 'sip:1002@example.com',
    headers: {
      Via: 'SIP/2.0/UDP 192.0.2.1:5070;branch=z9hG4bKabc;rport',
      'Max-Forwards': '70',
      From: '"Ann" <sip:1001@example.com>;tag=from1',
      To: '<sip:1002@example.com>',
      'Call-ID': 'call1@192.0.2.1',
      CSeq: `7 ${method}`,
      Contact: '<sip:1001@192.0.2.1:5070>',
      ...extra,
    },
  });
}

const answer = (method: string, status: number): SipResponse =>
  createResponse(request(method), status, { toTag: 'to1' });
const INVITE = request('INVITE');
const ACK = request('ACK');

/** What a machine did, in words: `send INVITE`, `send 180`, `deliver 200`, `timeout B`, `terminated`. */
function words(outputs: readonly TransactionOutput[]): string[] {
  return outputs.map((output) => {
    switch (output.type) {
      case 'send': {
        const parsed = parseMessage(toBytes(output.text));
        if (!parsed.ok) return `send garbage: ${parsed.reason}`;
        return `send ${parsed.message.kind === 'request' ? parsed.message.method : parsed.message.status}`;
      }
      case 'deliver':
        return `deliver ${output.message.kind === 'request' ? output.message.method : output.message.status}`;
      case 'timeout':
        return `timeout ${output.timer}`;
      default:
        return output.type;
    }
  });
}

type Input = number | 'INVITE' | 'ACK' | 'again' | 'transport-error' | `answer ${number}` | `wait ${string}`;

/**
 * Drives a machine on virtual time. A number is a response that comes in; `answer 200` one that the user gives; `wait B` lets time pass
 * until that timer fires. Between any two inputs the transaction is written as JSON and read back: another process goes on with it.
 */
function drive(tx: Transaction, method: string, inputs: readonly Input[]) {
  let nowMs = START_MS;
  let current = tx;
  let last: string[] = [];
  for (const input of inputs) {
    current = JSON.parse(JSON.stringify(current)) as Transaction;
    const isClient = current.kind === 'invite-client' || current.kind === 'non-invite-client';
    let step: { tx: Transaction; outputs: readonly TransactionOutput[] };
    if (typeof input === 'number') {
      if (!isClient) throw new Error('a server transaction receives no response');
      step = receiveResponse(current as never, answer(method, input), nowMs);
    } else if (input.startsWith('answer ')) {
      const status = Number(input.slice(7));
      step = respond(current as never, serialize(answer(method, status)), status, nowMs);
    } else if (input.startsWith('wait ')) {
      const dueMs = (current.timers as Record<string, number | undefined>)[input.slice(5)];
      if (dueMs === undefined) throw new Error(`${input}: that timer is not running in ${current.state}`);
      nowMs = dueMs;
      step = tick(current, nowMs);
    } else if (input === 'transport-error') {
      step = transportFailed(current);
    } else {
      step = receiveRequest(current as never, input === 'ACK' ? ACK : request(method), nowMs);
    }
    current = step.tx;
    last = words(step.outputs);
  }
  return {
    state: current.state,
    outputs: last,
    timers: Object.keys(current.timers).join(''),
    afterMs: nowMs - START_MS,
  };
}

const client = (method: string, reliable = false) =>
  startClient(request(method), { reliable, nowMs: START_MS });
const server = (method: string, reliable = false) => startServer(request(method), { reliable });

/** [transport, what happened before, the input, the state after, what comes out, the timers that run]. */
type Row = readonly ['udp' | 'tcp', readonly Input[], Input, string, readonly string[], string];

describe('INVITE client transaction (RFC 3261 figure 5, RFC 6026 §7.2)', () => {
  test('begins in Calling, sends the INVITE, starts A (UDP only) and B', () => {
    expect(words(client('INVITE').outputs)).toEqual(['send INVITE']);
    expect(client('INVITE').tx).toMatchObject({
      state: 'Calling',
      timers: { A: START_MS + 500, B: START_MS + 32_000 },
    });
    expect(Object.keys(client('INVITE', true).tx.timers)).toEqual(['B']);
  });

  test.each<Row>([
    ['udp', [], 'wait A', 'Calling', ['send INVITE'], 'AB'],
    ['udp', [], 'wait B', 'Terminated', ['timeout B', 'terminated'], ''],
    ['tcp', [], 'wait B', 'Terminated', ['timeout B', 'terminated'], ''],
    ['udp', [], 'transport-error', 'Terminated', ['transport-error', 'terminated'], ''],
    ['udp', [], 100, 'Proceeding', ['deliver 100'], ''],
    ['udp', [], 200, 'Accepted', ['deliver 200'], 'M'],
    ['udp', [], 486, 'Completed', ['send ACK', 'deliver 486'], 'D'],
    ['tcp', [], 486, 'Terminated', ['send ACK', 'deliver 486', 'terminated'], ''],
    ['udp', [180], 183, 'Proceeding', ['deliver 183'], ''],
    ['udp', [180], 200, 'Accepted', ['deliver 200'], 'M'],
    ['tcp', [180], 200, 'Accepted', ['deliver 200'], 'M'],
    ['udp', [180], 300, 'Completed', ['send ACK', 'deliver 300'], 'D'],
    ['udp', [180], 'transport-error', 'Terminated', ['transport-error', 'terminated'], ''],
    ['udp', [200], 200, 'Accepted', ['deliver 200'], 'M'],
    ['udp', [200], 180, 'Accepted', [], 'M'],
    ['udp', [200], 486, 'Accepted', [], 'M'],
    ['udp', [200], 'wait M', 'Terminated', ['terminated'], ''],
    ['udp', [486], 486, 'Completed', ['send ACK'], 'D'],
    ['udp', [486], 180, 'Completed', [], 'D'],
    ['udp', [486], 200, 'Completed', [], 'D'],
    ['udp', [486], 'wait D', 'Terminated', ['terminated'], ''],
    ['udp', [486], 'transport-error', 'Terminated', ['transport-error', 'terminated'], ''],
    ['udp', [486, 'wait D'], 486, 'Terminated', [], ''],
    ['udp', ['wait B'], 'transport-error', 'Terminated', [], ''],
  ])('%s: after %j, %s → %s', (transport, before, input, state, outputs, timers) => {
    const { tx } = client('INVITE', transport === 'tcp');
    expect(drive(tx, 'INVITE', [...before, input])).toMatchObject({ state, outputs, timers });
  });

  test('what is never sent again is not kept', () => {
    for (const status of [200, 486]) {
      expect(receiveResponse(client('INVITE').tx, answer('INVITE', status), START_MS).tx).toMatchObject({
        request: '',
      });
      expect(receiveResponse(client('BYE').tx, answer('BYE', status), START_MS).tx).toMatchObject({
        request: '',
      });
    }
    const failed = respond(server('INVITE').tx, serialize(answer('INVITE', 486)), 486, START_MS).tx;
    expect(receiveRequest(failed, ACK, START_MS).tx).not.toHaveProperty('lastResponse');
  });

  test('the ACK for a failure is made as §17.1.1.3 says', () => {
    const invite = request('INVITE', { Route: '<sip:proxy.example.com;lr>', Authorization: 'Digest x="y"' });
    const { tx } = startClient(invite, { reliable: false, nowMs: START_MS });
    const response = createResponse(invite, 404, { toTag: 'gone' });
    const [ack] = receiveResponse(tx, response, START_MS + 10).outputs;
    const parsed = ack?.type === 'send' ? parseMessage(toBytes(ack.text)) : undefined;
    if (!parsed?.ok || parsed.message.kind !== 'request') throw new Error('no ACK was sent');
    expect(parsed.message).toMatchObject({ method: 'ACK', uri: 'sip:1002@example.com', body: '' });
    expect(header(parsed.message, 'Via')).toBe(header(invite, 'Via'));
    expect(header(parsed.message, 'Route')).toBe('<sip:proxy.example.com;lr>');
    expect(header(parsed.message, 'From')).toBe(header(invite, 'From'));
    expect(header(parsed.message, 'To')).toBe('<sip:1002@example.com>;tag=gone');
    expect(header(parsed.message, 'CSeq')).toBe('7 ACK');
    expect(header(parsed.message, 'Call-ID')).toBe('call1@192.0.2.1');
  });
});

describe('non-INVITE client transaction (RFC 3261 figure 6)', () => {
  test.each<Row>([
    ['udp', [], 'wait E', 'Trying', ['send BYE'], 'EF'],
    ['udp', [], 'wait F', 'Terminated', ['timeout F', 'terminated'], ''],
    ['tcp', [], 'wait F', 'Terminated', ['timeout F', 'terminated'], ''],
    ['udp', [], 'transport-error', 'Terminated', ['transport-error', 'terminated'], ''],
    ['udp', [], 100, 'Proceeding', ['deliver 100'], 'EF'],
    ['udp', [], 200, 'Completed', ['deliver 200'], 'K'],
    ['tcp', [], 200, 'Terminated', ['deliver 200', 'terminated'], ''],
    ['udp', [], 481, 'Completed', ['deliver 481'], 'K'],
    ['udp', [100], 'wait E', 'Proceeding', ['send BYE'], 'EF'],
    ['udp', [100], 'wait F', 'Terminated', ['timeout F', 'terminated'], ''],
    ['udp', [100], 100, 'Proceeding', ['deliver 100'], 'EF'],
    ['udp', [100], 200, 'Completed', ['deliver 200'], 'K'],
    ['tcp', [100], 500, 'Terminated', ['deliver 500', 'terminated'], ''],
    ['udp', [200], 200, 'Completed', [], 'K'],
    ['udp', [200], 'wait K', 'Terminated', ['terminated'], ''],
    ['udp', [200, 'wait K'], 200, 'Terminated', [], ''],
  ])('%s: after %j, %s → %s', (transport, before, input, state, outputs, timers) => {
    const { tx } = client('BYE', transport === 'tcp');
    expect(drive(tx, 'BYE', [...before, input])).toMatchObject({ state, outputs, timers });
  });
});

describe('INVITE server transaction (RFC 3261 figure 7, RFC 6026 §7.1)', () => {
  test('begins in Proceeding and delivers the INVITE', () => {
    expect(server('INVITE')).toMatchObject({ tx: { state: 'Proceeding', timers: {} } });
    expect(words(server('INVITE').outputs)).toEqual(['deliver INVITE']);
  });

  test.each<Row>([
    ['udp', [], 'again', 'Proceeding', [], ''],
    ['udp', [], 'ACK', 'Proceeding', [], ''],
    ['udp', [], 'answer 100', 'Proceeding', ['send 100'], ''],
    ['udp', ['answer 100', 'answer 180'], 'again', 'Proceeding', ['send 180'], ''],
    ['udp', ['answer 180'], 'answer 200', 'Accepted', ['send 200'], 'L'],
    ['tcp', ['answer 180'], 'answer 200', 'Accepted', ['send 200'], 'L'],
    ['udp', ['answer 180'], 'answer 486', 'Completed', ['send 486'], 'GH'],
    ['tcp', ['answer 180'], 'answer 486', 'Completed', ['send 486'], 'H'],
    ['udp', ['answer 180'], 'transport-error', 'Terminated', ['transport-error', 'terminated'], ''],
    ['udp', ['answer 200'], 'again', 'Accepted', [], 'L'],
    ['udp', ['answer 200'], 'ACK', 'Accepted', ['deliver ACK'], 'L'],
    ['udp', ['answer 200'], 'answer 200', 'Accepted', ['send 200'], 'L'],
    ['udp', ['answer 200'], 'answer 486', 'Accepted', [], 'L'],
    ['udp', ['answer 200'], 'wait L', 'Terminated', ['terminated'], ''],
    ['udp', ['answer 486'], 'again', 'Completed', ['send 486'], 'GH'],
    ['udp', ['answer 486'], 'answer 200', 'Completed', [], 'GH'],
    ['udp', ['answer 486'], 'wait G', 'Completed', ['send 486'], 'GH'],
    ['udp', ['answer 486'], 'wait H', 'Terminated', ['timeout H', 'terminated'], ''],
    ['tcp', ['answer 486'], 'wait H', 'Terminated', ['timeout H', 'terminated'], ''],
    ['udp', ['answer 486'], 'ACK', 'Confirmed', [], 'I'],
    ['tcp', ['answer 486'], 'ACK', 'Terminated', ['terminated'], ''],
    ['udp', ['answer 486', 'ACK'], 'ACK', 'Confirmed', [], 'I'],
    ['udp', ['answer 486', 'ACK'], 'again', 'Confirmed', [], 'I'],
    ['udp', ['answer 486', 'ACK'], 'wait I', 'Terminated', ['terminated'], ''],
    ['udp', ['answer 486', 'ACK', 'wait I'], 'answer 200', 'Terminated', [], ''],
  ])('%s: after %j, %s → %s', (transport, before, input, state, outputs, timers) => {
    const { tx } = server('INVITE', transport === 'tcp');
    expect(drive(tx, 'INVITE', [...before, input])).toMatchObject({ state, outputs, timers });
  });
});

describe('non-INVITE server transaction (RFC 3261 figure 8)', () => {
  test.each<Row>([
    ['udp', [], 'again', 'Trying', [], ''],
    ['udp', [], 'answer 100', 'Proceeding', ['send 100'], ''],
    ['udp', [], 'answer 200', 'Completed', ['send 200'], 'J'],
    ['tcp', [], 'answer 200', 'Terminated', ['send 200', 'terminated'], ''],
    ['udp', [], 'transport-error', 'Terminated', ['transport-error', 'terminated'], ''],
    ['udp', ['answer 100'], 'again', 'Proceeding', ['send 100'], ''],
    ['udp', ['answer 100'], 'answer 183', 'Proceeding', ['send 183'], ''],
    ['udp', ['answer 100'], 'answer 404', 'Completed', ['send 404'], 'J'],
    ['udp', ['answer 200'], 'again', 'Completed', ['send 200'], 'J'],
    ['udp', ['answer 200'], 'answer 500', 'Completed', [], 'J'],
    ['udp', ['answer 200'], 'wait J', 'Terminated', ['terminated'], ''],
    ['udp', ['answer 200', 'wait J'], 'again', 'Terminated', [], ''],
  ])('%s: after %j, %s → %s', (transport, before, input, state, outputs, timers) => {
    const { tx } = server('BYE', transport === 'tcp');
    expect(drive(tx, 'BYE', [...before, input])).toMatchObject({ state, outputs, timers });
  });
});

/** When things were sent or ended, in milliseconds after the start, with nobody answering. */
function timeline(tx: Transaction, wake: (dueMs: number) => number = (dueMs) => dueMs): [number, string][] {
  const seen: [number, string][] = [];
  let current = tx;
  for (let dueMs = nextDeadlineMs(current); dueMs !== undefined; dueMs = nextDeadlineMs(current)) {
    const nowMs = wake(dueMs);
    const step = tick(current, nowMs);
    current = step.tx;
    for (const word of words(step.outputs)) seen.push([nowMs - START_MS, word]);
  }
  return seen;
}

describe('schedules (RFC 3261 §17, table 4)', () => {
  test('Timer A doubles until B ends the INVITE after 32 s', () => {
    expect(timeline(client('INVITE').tx)).toEqual([
      ...[500, 1500, 3500, 7500, 15_500, 31_500].map((atMs) => [atMs, 'send INVITE']),
      [32_000, 'timeout B'],
      [32_000, 'terminated'],
    ]);
  });

  test('Timer E doubles up to T2 until F ends the request after 32 s', () => {
    expect(timeline(client('OPTIONS').tx)).toEqual([
      ...[500, 1500, 3500, 7500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500].map((atMs) => [
        atMs,
        'send OPTIONS',
      ]),
      [32_000, 'timeout F'],
      [32_000, 'terminated'],
    ]);
  });

  test('Timer E runs at T2 once a provisional response came', () => {
    const { tx } = receiveResponse(client('OPTIONS').tx, answer('OPTIONS', 100), START_MS + 100);
    expect(timeline(tx).slice(0, 3)).toEqual([
      [500, 'send OPTIONS'],
      [4500, 'send OPTIONS'],
      [8500, 'send OPTIONS'],
    ]);
  });

  test('Timer G doubles up to T2 until H gives up the ACK after 32 s', () => {
    const { tx } = respond(server('INVITE').tx, serialize(answer('INVITE', 486)), 486, START_MS);
    expect(timeline(tx)).toEqual([
      ...[500, 1500, 3500, 7500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500].map((atMs) => [
        atMs,
        'send 486',
      ]),
      [32_000, 'timeout H'],
      [32_000, 'terminated'],
    ]);
  });

  test('over a stream nothing is sent again', () => {
    expect(timeline(client('INVITE', true).tx)).toEqual([
      [32_000, 'timeout B'],
      [32_000, 'terminated'],
    ]);
  });

  test('a trunk may have other times', () => {
    const times = { t1Ms: 100, t2Ms: 400, t4Ms: 500, timerDMs: 3200 };
    const { tx } = startClient(INVITE, { reliable: false, nowMs: START_MS, times });
    expect(tx.timers).toEqual({ A: START_MS + 100, B: START_MS + 6400 });
    expect(receiveResponse(tx, answer('INVITE', 486), START_MS, times).tx.timers).toEqual({
      D: START_MS + 3200,
    });
  });

  test('an adopter that wakes 3 s late sends once, not a burst, and still ends in time', () => {
    const late = timeline(client('INVITE').tx, (dueMs) => dueMs + 3000);
    expect(late.map(([, word]) => word)).toEqual([
      ...Array(late.length - 2).fill('send INVITE'),
      'timeout B',
      'terminated',
    ]);
    expect(late[0]).toEqual([3500, 'send INVITE']);
    for (let at = 1; at < late.length - 2; at++)
      expect(late[at]![0] - late[at - 1]![0]).toBeGreaterThanOrEqual(1000);
    expect(late.at(-1)![0]).toBe(35_000);
  });

  test('waking too early changes nothing', () => {
    const { tx } = client('INVITE');
    expect(tick(tx, START_MS + 499)).toEqual({ tx, outputs: [] });
  });
});
