import { beforeEach, expect, test } from 'vitest';
import { type AccountId, seededRandom, silentLogger, type UserId, VirtualClock } from '../base/index.ts';
import { header, parseMessage, type SipRequest } from '../sip/index.ts';
import { PhoneReports } from './phone-reports.ts';

const ACCOUNT = 'demo' as AccountId;
const USER = 'u1' as UserId;
const REPORT = 'VQSessionReport: CallTerm\r\nCallID: c1\r\nLocalMetrics:\r\nQualityEst:MOSCQ=4.3\r\n';

let kept: unknown[];
let clock: VirtualClock;
let reports: PhoneReports;
let isAway = false;
beforeEach(() => {
  kept = [];
  clock = new VirtualClock(60_000);
  isAway = false;
  reports = new PhoneReports({
    state: {
      append: async (account, log, entry) => {
        if (isAway) throw new Error('away');
        kept.push([account, log, entry]);
        return '1';
      },
    },
    clock,
    random: seededRandom(1),
    log: silentLogger,
  });
});

function publish(body: string, headers: Record<string, string> = {}): SipRequest {
  const all = {
    Event: 'vq-rtcpxr',
    'Content-Type': 'application/vq-rtcpxr',
    'User-Agent': 'Desk 7',
    ...headers,
  };
  const lines = [
    'PUBLISH sip:demo.twinline.test SIP/2.0',
    'Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1',
    'From: <sip:1001@demo.twinline.test>;tag=1',
    'To: <sip:demo.twinline.test>',
    'Call-ID: p1',
    'CSeq: 1 PUBLISH',
    ...Object.entries(all).flatMap(([name, value]) => (value === '' ? [] : [`${name}: ${value}`])),
    `Content-Length: ${body.length}`,
  ];
  const parsed = parseMessage(Buffer.from(`${lines.join('\r\n')}\r\n\r\n${body}`, 'latin1'));
  if (!parsed.ok) throw new Error(parsed.reason);
  return parsed.message as SipRequest;
}
const take = (body: string, headers?: Record<string, string>) =>
  reports.take(publish(body, headers), ACCOUNT, USER, 'tag');

test('a report goes into the log beside the records, and is answered as RFC 3903 has it', async () => {
  const answer = await take(REPORT);
  expect(answer.status).toBe(200);
  expect(header(answer, 'SIP-ETag')).toMatch(/^\w+$/);
  expect(header(answer, 'Expires')).toBe('0');
  expect(kept).toEqual([
    [
      ACCOUNT,
      'records',
      {
        v: 1,
        kind: 'phone-report',
        account: ACCOUNT,
        user: USER,
        utcMs: clock.utcMs(),
        report: { kind: 'session', sipCallId: 'c1', mosCq: 4.3, userAgent: 'Desk 7' },
      },
    ],
  ]);
});

test('what is no such report is refused by what is wrong with it', async () => {
  for (const [status, body, headers] of [
    [489, REPORT, { Event: 'presence' }],
    [489, REPORT, { Event: '' }],
    [412, '', { 'SIP-If-Match': 'x' }],
    [415, REPORT, { 'Content-Type': 'text/plain' }],
    [413, REPORT + 'x'.repeat(9000), {}],
    [400, 'VQSessionReport\r\n', {}],
  ] as const)
    expect([body.slice(0, 20), (await take(body, headers)).status]).toEqual([body.slice(0, 20), status]);
  expect(header(await take(REPORT, { Event: 'presence' }), 'Allow-Events')).toBe('vq-rtcpxr');
  expect(kept).toEqual([]);
});

test('one user says so many in a minute; with the state away it is to come again', async () => {
  for (let i = 0; i < 60; i++) expect((await take(REPORT)).status).toBe(200);
  expect((await take(REPORT)).status).toBe(503);
  clock.advance(60_000);
  isAway = true;
  const answer = await take(REPORT);
  expect([answer.status, header(answer, 'Retry-After')]).toEqual([503, '5']);
  isAway = false;
  expect((await take(REPORT)).status).toBe(200);
});
