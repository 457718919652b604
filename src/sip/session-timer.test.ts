import { describe, expect, test } from 'vitest';
import {
  answerSessionTimer,
  createRequest,
  createResponse,
  parseMinSe,
  parseSessionExpires,
  policyAfter422,
  refreshSent,
  type SipRequest,
  sessionTimerDeadlineMs,
  sessionTimerDue,
  sessionTimerFromAnswer,
  sessionTimerRequestHeaders,
  startSessionTimer,
} from './index.ts';

const policy = { intervalSec: 1800, minSec: 90 };
const invite = (headers: Record<string, string>): SipRequest =>
  createRequest({ method: 'INVITE', uri: 'sip:x', headers: { CSeq: '1 INVITE', ...headers } });
const answered = (headers: Record<string, string>) => createResponse(invite({}), 200, { headers });

describe('the callee answers (RFC 4028 §9)', () => {
  test.each([
    [
      'names the refresher that the caller named',
      { Supported: 'timer', 'Session-Expires': '600;refresher=uas' },
      600,
      'us',
      '600;refresher=uas',
      false,
    ],
    [
      'lets the caller refresh who names none',
      { Supported: 'timer', 'Session-Expires': '600' },
      600,
      'them',
      '600;refresher=uac',
      true,
    ],
    [
      'shortens what is longer than ours',
      { Supported: 'timer', 'Session-Expires': '9000;refresher=uac' },
      1800,
      'them',
      '1800;refresher=uac',
      true,
    ],
    [
      'asks by itself when the caller only supports timers',
      { Supported: '100rel, timer' },
      1800,
      'them',
      '1800;refresher=uac',
      true,
    ],
    ['refreshes by itself for a caller without timers', {}, 1800, 'us', '1800;refresher=uas', false],
    [
      'never goes below Min-SE',
      { Supported: 'timer', 'Session-Expires': '3000', 'Min-SE': '2400' },
      2400,
      'them',
      '2400;refresher=uac',
      true,
    ],
    [
      'raises a small interval of a caller that knows no 422',
      { 'Session-Expires': '30' },
      90,
      'us',
      '90;refresher=uas',
      false,
    ],
  ] as const)('%s', (_, headers, intervalSec, refresher, sessionExpires, requiresTimer) => {
    const answer = answerSessionTimer(invite(headers), policy, 0);
    if (answer.type !== 'accept') throw new Error('422');
    expect(answer.timer).toMatchObject({ intervalSec, refresher });
    expect(answer.headers[0]).toEqual({ name: 'Session-Expires', value: sessionExpires });
    expect(answer.headers.some((entry) => entry.name === 'Require')).toBe(requiresTimer);
  });

  test('422 to a caller that supports timers and asks too little (§6)', () => {
    const small = invite({ Supported: 'timer', 'Session-Expires': '60' });
    expect(answerSessionTimer(small, policy, 0)).toEqual({ type: 'too-small', minSec: 90 });
    const strict = { intervalSec: 1800, minSec: 300 };
    const below = invite({ Supported: 'timer', 'Session-Expires': '299' });
    expect(answerSessionTimer(below, strict, 0)).toEqual({ type: 'too-small', minSec: 300 });
  });
});

describe('the caller (RFC 4028 §7)', () => {
  test('asks without naming a refresher first, and keeps the roles in a refresh', () => {
    expect(sessionTimerRequestHeaders(policy)).toEqual([{ name: 'Session-Expires', value: '1800' }]);
    const ours = startSessionTimer(600, 'us', 0);
    expect(sessionTimerRequestHeaders({ intervalSec: 1800, minSec: 120 }, ours)).toEqual([
      { name: 'Session-Expires', value: '600;refresher=uac' },
      { name: 'Min-SE', value: '120' },
    ]);
    const theirs = startSessionTimer(600, 'them', 0);
    expect(sessionTimerRequestHeaders(policy, theirs)[0]!.value).toBe('600;refresher=uas');
  });

  test('starts what the answer says', () => {
    expect(sessionTimerFromAnswer(answered({ 'Session-Expires': '600;refresher=uac' }), 0)?.refresher).toBe(
      'us',
    );
    expect(sessionTimerFromAnswer(answered({ 'Session-Expires': '600;refresher=uas' }), 0)?.refresher).toBe(
      'them',
    );
    expect(sessionTimerFromAnswer(answered({}), 0)).toBeUndefined();
    expect(sessionTimerFromAnswer(answered({}), 0, policy)).toMatchObject({
      intervalSec: 1800,
      refresher: 'us',
    });
  });

  test('tries again after 422 with what it demands, unless that helps nothing', () => {
    const refused = (minSe: string) => createResponse(invite({}), 422, { headers: { 'Min-SE': minSe } });
    expect(policyAfter422(refused('3600'), policy)).toEqual({ intervalSec: 3600, minSec: 3600 });
    expect(policyAfter422(refused('90'), policy)).toBeUndefined();
    expect(policyAfter422(createResponse(invite({}), 422), policy)).toBeUndefined();
  });
});

describe('time passes (RFC 4028 §10)', () => {
  test('who refreshes does so at half the interval and gives up at its end', () => {
    const timer = startSessionTimer(600, 'us', 0);
    expect(sessionTimerDeadlineMs(timer)).toBe(300_000);
    expect(sessionTimerDue(timer, 299_999)).toBe('nothing');
    expect(sessionTimerDue(timer, 300_000)).toBe('refresh');
    const sent = refreshSent(timer);
    expect(sessionTimerDue(sent, 300_001)).toBe('nothing');
    expect(sessionTimerDeadlineMs(sent)).toBe(600_000);
    expect(sessionTimerDue(sent, 600_000)).toBe('expired');
    expect(JSON.parse(JSON.stringify(sent))).toStrictEqual(sent);
  });

  test('who waits gives up 32 s or a third before the end', () => {
    expect(sessionTimerDeadlineMs(startSessionTimer(600, 'them', 0))).toBe(568_000);
    expect(sessionTimerDeadlineMs(startSessionTimer(90, 'them', 0))).toBe(60_000);
    expect(sessionTimerDue(startSessionTimer(90, 'them', 0), 60_000)).toBe('expired');
  });
});

test.each([
  ['1800', { intervalSec: 1800 }],
  ['1800 ; refresher=UAS;x=y', { intervalSec: 1800, refresher: 'uas' }],
  ['1800;refresher=nobody', { intervalSec: 1800 }],
  ['-5', undefined],
  ['', undefined],
  ['99999999999', undefined],
])('Session-Expires: %s', (value, parsed) => {
  expect(parseSessionExpires(value)).toEqual(parsed);
});

test('Min-SE may carry parameters', () => {
  expect(parseMinSe('90;x=y')).toBe(90);
  expect(parseMinSe('ninety')).toBeUndefined();
});
