import { expect, it } from 'vitest';
import {
  type DtmfEvent,
  expireTelephoneEvent,
  newTelephoneEvents,
  receiveTelephoneEvent,
  telephoneEventCode,
  writeTelephoneEvent,
} from './index.ts';

/** A receiver at 8 kHz; packets are told by key, start, duration so far and end bit, 20 ms apart. */
function receiver() {
  const state = newTelephoneEvents();
  let nowMs = 0;
  const heard: DtmfEvent[] = [];
  return {
    heard,
    packet(key: string, timestamp: number, durationMs: number, end = false): void {
      nowMs += 20;
      const packet = Buffer.alloc(16);
      writeTelephoneEvent(packet, 12, telephoneEventCode(key), end, -10, durationMs * 8);
      const event = receiveTelephoneEvent(state, packet, 12, 16, timestamp >>> 0, 8000, nowMs);
      if (event) heard.push(event);
    },
    quiet(ms: number): void {
      nowMs += ms;
      const event = expireTelephoneEvent(state, 8000, nowMs);
      if (event) heard.push(event);
    },
  };
}

it('a key held for 100 ms, its end sent three times, is one digit', () => {
  const phone = receiver();
  for (const ms of [20, 40, 60, 80]) phone.packet('5', 1000, ms);
  for (let i = 0; i < 3; i++) phone.packet('5', 1000, 100, true);
  expect(phone.heard).toEqual([{ digit: '5', durationMs: 100 }]);
});

it('all sixteen keys and the hook flash are known', () => {
  const phone = receiver();
  [...'0123456789*#ABCD!'].forEach((key, i) => {
    for (let n = 0; n < 3; n++) phone.packet(key, i * 2000, 80, true);
  });
  expect(phone.heard.map((event) => event.digit).join('')).toBe('0123456789*#ABCD!');
});

it('the same key twice is two digits', () => {
  const phone = receiver();
  phone.packet('7', 0, 100, true);
  phone.packet('7', 0, 100, true);
  phone.packet('7', 3000, 60, true);
  expect(phone.heard).toHaveLength(2);
});

it('one end packet is enough, and an early packet that comes late changes nothing', () => {
  const phone = receiver();
  phone.packet('1', 0, 20);
  phone.packet('1', 0, 100, true);
  phone.packet('1', 0, 60);
  phone.packet('2', 4000, 40, true);
  phone.packet('1', 0, 80);
  expect(phone.heard.map((event) => event.digit)).toEqual(['1', '2']);
});

it('with every end packet lost, the next key ends the one before', () => {
  const phone = receiver();
  phone.packet('3', 0, 20);
  phone.packet('3', 0, 40);
  phone.packet('4', 2000, 20);
  expect(phone.heard).toEqual([{ digit: '3', durationMs: 40 }]);
  phone.packet('4', 2000, 80, true);
  expect(phone.heard[1]).toEqual({ digit: '4', durationMs: 80 });
});

it('with every end packet lost and no next key, silence ends it', () => {
  const phone = receiver();
  phone.packet('9', 0, 60);
  phone.quiet(200);
  expect(phone.heard).toEqual([]);
  phone.quiet(60);
  expect(phone.heard).toEqual([{ digit: '9', durationMs: 60 }]);
  phone.quiet(1000);
  expect(phone.heard).toHaveLength(1);
});

it('a key held longer than 16 bits of duration goes on in a new segment (RFC 4733 §2.5.1.3)', () => {
  const phone = receiver();
  phone.packet('0', 100, 8191.875);
  phone.packet('0', 100 + 0xffff, 500);
  phone.packet('0', 100 + 0xffff, 1000, true);
  expect(phone.heard).toEqual([{ digit: '0', durationMs: 9192 }]);
});

it('timestamps may wrap, and start anew behind another source', () => {
  const phone = receiver();
  phone.packet('1', 2 ** 32 - 100, 50, true);
  phone.packet('2', 500, 50, true);
  phone.quiet(1500);
  phone.packet('3', 2 ** 31 + 600, 50, true);
  expect(phone.heard.map((event) => event.digit).join('')).toBe('123');
});

it('payloads that are cut off or hold another event are nothing', () => {
  const state = newTelephoneEvents();
  expect(receiveTelephoneEvent(state, Buffer.from([1, 0x80, 0]), 0, 3, 0, 8000, 0)).toBeUndefined();
  expect(receiveTelephoneEvent(state, Buffer.from([64, 0x80, 0, 9]), 0, 4, 0, 8000, 0)).toBeUndefined();
  expect(receiveTelephoneEvent(state, Buffer.from([1, 0x80]), 0, 4, 0, 8000, 0)).toBeUndefined();
  expect(state).toEqual(newTelephoneEvents());
});
