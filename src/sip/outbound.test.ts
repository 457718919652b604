import { expect, test } from 'vitest';
import { seededRandom } from '../base/index.ts';
import { flowRecoveryDelayMs, keepAliveDelayMs, outboundOf, parseFlowTimer, parseNameAddr } from './index.ts';

const contact = (params: string) => outboundOf(parseNameAddr(`<sip:1001@192.0.2.1>${params}`)!.params);

test('+sip.instance and reg-id of a Contact (RFC 5626 §4.1)', () => {
  expect(contact(';reg-id=2;+sip.instance="<urn:uuid:F81D4FAE-7DEC-11D0-A765-00A0C91E6BF6>"')).toEqual({
    instanceId: '<urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6>',
    regId: 2,
  });
  expect(contact('')).toEqual({});
  expect(contact(';reg-id=1')).toEqual({});
  for (const regId of ['0', '-1', 'x', '2147483648', '99999999999']) {
    expect(contact(`;reg-id=${regId};+sip.instance="<urn:uuid:1>"`)).toEqual({ instanceId: '<urn:uuid:1>' });
  }
  expect(contact(';+sip.instance="no brackets"')).toEqual({});
  expect(contact(';+sip.instance')).toEqual({});
});

test('keep-alives come between 80 and 100 % of the interval (§4.4.1)', () => {
  const random = seededRandom(1);
  for (let i = 0; i < 200; i++) {
    const delayMs = keepAliveDelayMs('stream', 100, random);
    expect(delayMs).toBeGreaterThanOrEqual(80_000);
    expect(delayMs).toBeLessThanOrEqual(100_000);
  }
  expect(keepAliveDelayMs('udp', undefined, random)).toBeLessThanOrEqual(29_000);
});

test('failed flows are tried at growing, random intervals up to half an hour (§4.5)', () => {
  const random = seededRandom(2);
  for (const [failures, upperMs] of [
    [0, 30_000],
    [1, 60_000],
    [3, 240_000],
    [40, 1_800_000],
  ] as const) {
    const delayMs = flowRecoveryDelayMs(failures, true, random);
    expect(delayMs).toBeGreaterThanOrEqual(upperMs / 2);
    expect(delayMs).toBeLessThanOrEqual(upperMs);
  }
});

test('Flow-Timer', () => {
  expect(parseFlowTimer('120')).toBe(120);
  for (const bad of ['0', '', '-1', '1.5', undefined]) expect(parseFlowTimer(bad)).toBeUndefined();
});
