import { describe, expect, test } from 'vitest';
import {
  createRequest,
  createResponse,
  endReliable,
  header,
  parseMessage,
  parseRack,
  type ReliableSender,
  receivePrack,
  receiveReliable,
  reliabilityOf,
  repetitionDeadlineMs,
  repetitionDue,
  type SipResponse,
  sendReliable,
  startReliable,
  startRepetition,
  tickReliable,
  toBytes,
  withHeader,
} from './index.ts';

const invite = createRequest({
  method: 'INVITE',
  uri: 'sip:1002@example.com',
  headers: {
    Via: 'SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKa',
    From: '<sip:1001@example.com>;tag=a',
    To: '<sip:1002@example.com>',
    'Call-ID': 'c',
    CSeq: '5 INVITE',
    Supported: '100rel, timer',
  },
});
const ringing = createResponse(invite, 180, { toTag: 'b' });
const progress = createResponse(invite, 183, { toTag: 'b' });
const prack = (rack: string) =>
  createRequest({ method: 'PRACK', uri: 'sip:b', headers: { RAck: rack, CSeq: '6 PRACK' } });

function read(text: string | undefined): SipResponse {
  const parsed = parseMessage(toBytes(text ?? ''));
  if (!parsed.ok || parsed.message.kind !== 'response') throw new Error(`no response: ${text}`);
  return parsed.message;
}

test('a 2xx is repeated after 500 ms, 1 s, 2 s, then every 4 s, and given up after 32 s (§13.3.1.4)', () => {
  let repetition = startRepetition('2xx', 0);
  const sentAtMs: number[] = [];
  for (;;) {
    const nowMs = repetitionDeadlineMs(repetition);
    repetition = JSON.parse(JSON.stringify(repetition));
    const due = repetitionDue(repetition, nowMs);
    if (due.type === 'expired') {
      expect(nowMs).toBe(32_000);
      break;
    }
    if (due.type !== 'send') throw new Error(`nothing to do at its own deadline ${nowMs}`);
    sentAtMs.push(nowMs);
    repetition = due.repetition;
  }
  expect(sentAtMs).toEqual([500, 1500, 3500, 7500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500]);
  expect(repetitionDue(startRepetition('2xx', 0), 499).type).toBe('nothing');
});

describe('100rel at the callee (RFC 3262 §3)', () => {
  test('says whether the caller wants it', () => {
    expect(reliabilityOf(invite)).toBe('supported');
    expect(reliabilityOf(withHeader(invite, 'Require', '100rel'))).toBe('required');
    expect(reliabilityOf(withHeader(invite, 'Supported', 'timer'))).toBe('unsupported');
  });

  test('one is outstanding at a time; the next leaves with the PRACK, under the next RSeq', () => {
    const first = sendReliable(startReliable(invite, 100), progress, 0);
    const sent = read(first.texts[0]);
    expect([sent.status, header(sent, 'RSeq'), header(sent, 'Require')]).toEqual([183, '100', '100rel']);
    const second = sendReliable(first.sender, ringing, 10);
    expect(second.texts).toEqual([]);
    const acknowledged = receivePrack(second.sender, prack('100 5 INVITE'), 20);
    expect(acknowledged.matched).toBe(true);
    const next = read(acknowledged.texts[0]);
    expect([next.status, header(next, 'RSeq')]).toEqual([180, '101']);
    expect(receivePrack(acknowledged.sender, prack('101 5 INVITE'), 30)).toMatchObject({
      matched: true,
      texts: [],
    });
  });

  test.each(['99 5 INVITE', '101 5 INVITE', '100 4 INVITE', '100 5 UPDATE', '100 5', 'x y z', ''])(
    'RAck "%s" acknowledges nothing',
    (rack) => {
      const { sender } = sendReliable(startReliable(invite, 100), progress, 0);
      expect(receivePrack(sender, prack(rack), 1)).toEqual({ sender, texts: [], matched: false });
    },
  );

  test('a second PRACK for the same response is matched no more', () => {
    const { sender } = sendReliable(startReliable(invite, 100), progress, 0);
    const once = receivePrack(sender, prack('100 5 INVITE'), 1);
    expect(receivePrack(once.sender, prack('100 5 INVITE'), 2).matched).toBe(false);
  });

  test('repeats, doubling without the T2 limit, and gives up after 32 s', () => {
    let { sender } = sendReliable(startReliable(invite, 1), progress, 0);
    const sentAtMs: number[] = [];
    let expiredAtMs: number | undefined;
    while (expiredAtMs === undefined) {
      const nowMs = repetitionDeadlineMs(sender.outstanding!);
      const step = tickReliable(JSON.parse(JSON.stringify(sender)) as ReliableSender, nowMs);
      sender = step.sender;
      if (step.expired) expiredAtMs = nowMs;
      else sentAtMs.push(...step.texts.map(() => nowMs));
    }
    expect(sentAtMs).toEqual([500, 1500, 3500, 7500, 15_500, 31_500]);
    expect(expiredAtMs).toBe(32_000);
    expect(tickReliable(sender, 99_000)).toMatchObject({ texts: [], expired: false });
  });

  test('the final response ends it: nothing is repeated, what waited is not sent', () => {
    const waiting = sendReliable(
      sendReliable(startReliable(invite, 1), progress, 0).sender,
      ringing,
      1,
    ).sender;
    const ended = endReliable(waiting);
    expect(tickReliable(ended, 500).texts).toEqual([]);
    expect(JSON.parse(JSON.stringify(ended))).toStrictEqual(ended);
    // A PRACK that was on its way is served, once.
    const late = receivePrack(ended, prack('1 5 INVITE'), 600);
    expect(late).toMatchObject({ matched: true, texts: [] });
    expect(receivePrack(late.sender, prack('1 5 INVITE'), 700).matched).toBe(false);
    expect(receivePrack(ended, prack('2 5 INVITE'), 600).matched).toBe(false);
  });

  test('the queue is bounded', () => {
    let { sender } = sendReliable(startReliable(invite, 1), progress, 0);
    for (let i = 0; i < 100; i++) sender = sendReliable(sender, ringing, 1).sender;
    expect(sender.waiting).toHaveLength(8);
  });
});

describe('100rel at the caller (RFC 3262 §4)', () => {
  const reliable = (rseq: number): SipResponse =>
    createResponse(invite, 183, { toTag: 'b', headers: { Require: '100rel', RSeq: String(rseq) } });

  test('takes responses in order, once each', () => {
    const first = receiveReliable({}, reliable(700));
    expect(first).toEqual({ type: 'new', receiver: { lastRseq: 700 }, rack: '700 5 INVITE' });
    const receiver = { lastRseq: 700 };
    expect(receiveReliable(receiver, reliable(700)).type).toBe('repeated');
    expect(receiveReliable(receiver, reliable(699)).type).toBe('repeated');
    expect(receiveReliable(receiver, reliable(702)).type).toBe('early');
    expect(receiveReliable(receiver, reliable(701)).type).toBe('new');
  });

  test('100, plain 180 and final responses are not reliable', () => {
    expect(receiveReliable({}, ringing).type).toBe('unreliable');
    expect(receiveReliable({}, { ...reliable(1), status: 100 }).type).toBe('unreliable');
    expect(receiveReliable({}, { ...reliable(1), status: 200 }).type).toBe('unreliable');
  });

  test('RAck is read as RFC 3262 §7.2 writes it', () => {
    expect(parseRack('776656 1 INVITE')).toEqual({ rseq: 776656, cseq: 1, method: 'INVITE' });
    expect(parseRack('776656 1')).toBeUndefined();
    expect(parseRack(undefined)).toBeUndefined();
  });
});
