import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { CallId, StreamId } from '../../src/base/index.ts';
import type { StreamCodec, StreamSpec } from '../../src/media/index.ts';
import type { UdpLoop } from '../../src/native/index.ts';
import { newKey } from '../support/media-call.ts';
import { MediaPair } from '../support/media-pair.ts';
import { rtpPhoneLoop } from '../support/rtp-phone.ts';
import { spec } from '../support/stream-spec.ts';
import { CODECS, TonePhone } from '../support/tone-phone.ts';

const { pcmu, pcma, g722, opus, event8, event48 } = CODECS as Record<string, StreamCodec>;

/** The share of 40 ms windows in which the tone stands 15 dB above all else. On a machine that is busy with other things packets come late; the
 * quality itself is judged on virtual time, beside the code. */
const RECOGNISED = 0.6;

let pair: MediaPair;
let loop: UdpLoop;
const phones: TonePhone[] = [];
const open: string[] = [];
beforeAll(async () => {
  loop = rtpPhoneLoop();
  pair = await MediaPair.start(30_000);
});
afterEach(async () => {
  for (const phone of phones.splice(0)) phone.close();
  const ids = open.splice(0);
  for (const id of ['a', 'b']) await pair.close(id, 'bundle0001', ids).catch(() => []);
});
afterAll(() => {
  pair.end();
  loop.close();
});

interface Peer {
  readonly id: string;
  readonly phone: TonePhone;
  spec: StreamSpec;
}

/** A phone and its stream; what the stream shall be besides stands in `more`. */
async function peer(
  id: string,
  codecs: readonly (StreamCodec | undefined)[],
  hz: number,
  more: Partial<StreamSpec> = {},
  { srtp = false }: { readonly srtp?: boolean } = {},
): Promise<Peer> {
  const known = codecs as readonly StreamCodec[];
  const toPhone = newKey(srtp ? 'AEAD_AES_256_GCM' : 'plain');
  const fromPhone = newKey(srtp ? 'AEAD_AES_256_GCM' : 'plain');
  const phone = new TonePhone(loop, {
    codecs: known,
    hz,
    ...(fromPhone && { sendKey: fromPhone }),
    ...(toPhone && { receiveKey: toPhone }),
  });
  phones.push(phone);
  open.push(id);
  const base = spec(id, {
    port: phone.localPort,
    rtcpMux: true,
    ...(toPhone && { sendKey: toPhone }),
    ...(fromPhone && { receiveKey: fromPhone }),
  });
  const made = { id, phone, spec: { ...base, call: 'call' as CallId, codecs: known, ...more } };
  phone.port = (await pair.put('a', made.spec)).port;
  return made;
}

const source = (id: string) => ({ source: id as StreamId });

describe('transcoding', () => {
  test.each([
    ['opus', 'pcmu', opus, pcmu],
    ['g722', 'opus', g722, opus],
    ['pcma', 'g722', pcma, g722],
  ])('%s and %s hear each other’s tones', async (_, __, left, right) => {
    const alice = await peer('alice', [left], 440, source('bob'), { srtp: true });
    const bob = await peer('bob', [right], 1000, source('alice'));
    for (const { phone } of [alice, bob]) phone.talk();
    await Promise.all([alice.phone.hears(60), bob.phone.hears(60)]);
    expect(bob.phone.quality(440, 1000).pure).toBeGreaterThan(RECOGNISED);
    expect(alice.phone.quality(1000, 1000).pure).toBeGreaterThan(RECOGNISED);
    expect(Math.abs(bob.phone.quality(440, 1000).levelDb)).toBeLessThan(3);
    for (const { phone } of [alice, bob]) {
      const [first] = phone.packets;
      expect(new Set(phone.packets.map(({ ssrc }) => ssrc)).size).toBe(1);
      phone.packets.forEach(({ sequence }, i) => {
        expect(sequence).toBe((first!.sequence + i) & 0xffff);
      });
    }
  });

  test('what both can do passes as it is, also where one may send something else too', async () => {
    const alice = await peer('alice', [pcmu, opus], 440, source('bob'));
    const bob = await peer('bob', [pcmu], 1000, source('alice'));
    alice.phone.talk();
    await bob.phone.hears(20);
    // A relay keeps the number of its source; what is made here begins anew.
    expect(bob.phone.packets[0]).toMatchObject({ sequence: 65_500, timestamp: 4_294_960_000 });
  });

  test('keys pass from 8 to 48 kHz and back, each packet once, under one timestamp', async () => {
    const alice = await peer('alice', [opus, event48], 440, source('bob'));
    const bob = await peer('bob', [pcmu, event8], 1000, source('alice'));
    for (const { phone } of [alice, bob]) phone.talk();
    await Promise.all([alice.phone.hears(50), bob.phone.hears(50)]);
    for (const [from, to, event, units, there] of [
      [bob, alice, event8, 1200, 7200],
      [alice, bob, event48, 7200, 1200],
    ] as const) {
      from.phone.hush();
      from.phone.press(5, event!, units);
      const type = to.spec.codecs[1]!.payloadType;
      const keys = () => to.phone.packets.filter(({ payloadType }) => payloadType === type);
      await to.phone.until(() => keys().length === 5);
      expect(keys().map(({ payload }) => [payload[0], payload[1]! >> 7, payload.readUInt16BE(2)])).toEqual(
        [
          [1 / 3, 0],
          [2 / 3, 0],
          [1, 1],
          [1, 1],
          [1, 1],
        ].map(([part, end]) => [5, end, Math.round(there * part!)]),
      );
      expect(new Set(keys().map(({ timestamp }) => timestamp)).size).toBe(1);
      expect(keys().map(({ marker }) => marker)).toEqual([true, false, false, false, false]);
      from.phone.talk();
    }
    await pair.until(() => pair.events.filter(({ type }) => type === 'dtmf').length >= 2);
    expect(pair.events.filter(({ type }) => type === 'dtmf')).toMatchObject([
      { stream: 'bob', digit: '5', durationMs: 150 },
      { stream: 'alice', digit: '5', durationMs: 150 },
    ]);
  });
});

describe('after a kill', () => {
  test('what is made here goes on in the twin under the next indices: none is used twice, and the tone is there', async () => {
    const alice = await peer('alice', [opus], 440, source('bob'), { srtp: true });
    const bob = await peer('bob', [pcmu], 1000, source('alice'), { srtp: true });
    for (const { phone } of [alice, bob]) phone.talk();
    await Promise.all([alice.phone.hears(60), bob.phone.hears(60)]);
    const before = [alice, bob].map(({ phone }) => phone.packets.length);
    pair.kill('a');
    await pair.until(() => pair.events.some(({ by, type }) => by === 'b' && type === 'adopted'));
    await Promise.all([alice.phone.hears(60), bob.phone.hears(60)]);
    expect(bob.phone.quality(440, 1000).pure).toBeGreaterThan(RECOGNISED);
    expect(alice.phone.quality(1000, 1000).pure).toBeGreaterThan(RECOGNISED);
    [alice, bob].forEach(({ phone, spec: { codecs } }, n) => {
      const at = before[n]!;
      const [last, next] = phone.packets
        .slice(at - 1)
        .filter(({ sequence }, i, all) => i === 0 || sequence !== all[0]!.sequence);
      const gapMs = next!.atMs - last!.atMs;
      const clockMs = ((next!.timestamp - last!.timestamp) | 0) / (codecs[0]!.clockRateHz / 1000);
      console.log(
        `${codecs[0]!.name}: ${gapMs.toFixed(1)} ms without a packet, ${clockMs} ms by the timestamps`,
      );
    });
    await pair.startAgain('a');
    await pair.command('b', 'hand-over', {});
    const handed = bob.phone.packets.length;
    await Promise.all([alice.phone.hears(60), bob.phone.hears(60)]);
    expect(bob.phone.quality(440, 1000).pure).toBeGreaterThan(RECOGNISED);
    // From a living owner nothing need be left out.
    const after = bob.phone.packets.slice(handed - 2);
    after.forEach(({ sequence }, i) => {
      expect(sequence).toBe((after[0]!.sequence + i) & 0xffff);
    });
    for (const { phone } of [alice, bob]) {
      expect(phone.refused).toBe(0);
      const { reused, unreadable, repeated } = phone.audit!.judge();
      expect({ reused, unreadable, repeated }).toEqual({ reused: [], unreadable: [], repeated: [] });
    }
  });
});
