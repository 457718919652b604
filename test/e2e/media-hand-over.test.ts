import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { StreamId } from '../../src/base/index.ts';
import type { SrtpSuite } from '../../src/media/index.ts';
import type { UdpLoop } from '../../src/native/index.ts';
import { longestGapMs, type MediaCall, mediaCall, more, talk } from '../support/media-call.ts';
import { MediaPair } from '../support/media-pair.ts';
import { type RtpPhone, rtpPhoneLoop } from '../support/rtp-phone.ts';
import { spec } from '../support/stream-spec.ts';

type Protection = SrtpSuite | 'plain';

const MIXES: [Protection, Protection][] = [
  ['plain', 'plain'],
  ['AEAD_AES_256_GCM', 'AEAD_AES_256_GCM'],
  ['AES_CM_128_HMAC_SHA1_80', 'AEAD_AES_256_GCM'],
  ['plain', 'AEAD_AES_128_GCM'],
  ['AES_256_CM_HMAC_SHA1_80', 'plain'],
];

let pair: MediaPair;
let loop: UdpLoop;
beforeEach(async () => {
  loop = rtpPhoneLoop();
  pair = await MediaPair.start(28_000);
});
afterEach(() => {
  pair.end();
  loop.close();
});

async function callsUp(count: number): Promise<MediaCall[]> {
  const up: MediaCall[] = [];
  for (let i = 0; i < count; i++) up.push(await mediaCall(pair, loop, ...MIXES[i % MIXES.length]!));
  return up;
}

const phonesOf = (up: readonly MediaCall[]): RtpPhone[] => up.flatMap(({ phones }) => phones);
const lastIndex = (phone: RtpPhone) => phone.heard.at(-1)?.index ?? -1;

/** All that was sent since `first` was heard, once each, in order; nothing was refused and no index used for two packets. */
function expectFlawless(up: readonly MediaCall[], first: ReadonlyMap<RtpPhone, number>): void {
  for (const { phones } of up)
    for (const [i, phone] of phones.entries()) {
      const other = phones[1 - i]!;
      const indices = phone.heard.map(({ index }) => index);
      expect(indices).toEqual(indices.map((_, k) => indices[0]! + k));
      expect([indices[0], indices.at(-1)]).toEqual([first.get(other), other.next - 1]);
      expectNoReuse(phone);
    }
}

function expectNoReuse(phone: RtpPhone): void {
  expect(phone.refused).toBe(0);
  if (phone.audit === undefined) return;
  const { rtcpPackets, ...found } = phone.audit.judge();
  expect(found).toEqual({ reused: [], repeated: [], unreadable: [], rtpPackets: phone.heard.length });
  expect(rtcpPackets).toBeGreaterThan(0);
}

/** Everybody has heard what the other said last. */
async function untilAllHeard(up: readonly MediaCall[], talking: ReturnType<typeof talk>): Promise<void> {
  const done = () =>
    up.every(({ phones: [a, b] }) => lastIndex(a) === b.next - 1 && lastIndex(b) === a.next - 1);
  if (!done()) await talking.heardBy(done);
}

describe('a media process is drained while packets flow', () => {
  test('its twin goes on without a packet lost, late or out of order; it stands by, stops, comes back, and is handed them again', async () => {
    const up = await callsUp(20);
    const phones = phonesOf(up);
    const first = new Map(phones.map((phone) => [phone, phone.next]));
    const talking = talk(phones);
    await talking.heardBy(more(20, phones));

    const drained = await pair.command('a', 'drain', { on: true });
    expect(drained).toEqual({ handed: 40, remaining: 0 });
    const ids = up.flatMap(({ streams }) => streams);
    await pair.until(() => pair.events.flatMap((e) => (e.type === 'adopted' ? e.streams : [])).length === 40);
    expect(pair.events.every((e) => e.type === 'adopted' && e.from === 'a' && e.by === 'b')).toBe(true);
    expect(await pair.find('b', ids)).toEqual({ here: ids, standby: [], unknown: [] });
    expect(await pair.find('a', ids)).toEqual({ here: [], standby: ids, unknown: [] });
    await talking.heardBy(more(10, phones));

    // New streams are the twin's as long as there is one, and those here no more.
    await expect(pair.put('a', spec('new'))).rejects.toMatchObject({ code: 'draining' });
    await pair.stop('a');
    await talking.heardBy(more(10, phones));
    await pair.startAgain('a');
    await pair.until(() => pair.connected('a'));
    await talking.heardBy(more(10, phones));
    // Nothing goes back by itself; a rolling restart then empties the other.
    expect(await pair.status('b')).toMatchObject({ streams: 40 });
    expect(await pair.command('b', 'drain', { on: true })).toEqual({ handed: 40, remaining: 0 });
    await talking.heardBy(more(10, phones));
    talking.hush();
    await untilAllHeard(up, talking);

    const gaps = phones.map(longestGapMs).sort((a, b) => a - b);
    console.log(
      `longest gap over two hand-overs of 40 streams: median ${gaps[20]!.toFixed(1)} ms, worst ${gaps.at(-1)!.toFixed(1)} ms`,
    );
    expectFlawless(up, first);
    const [report] = await pair.close('a', 'bundle0001', [ids[0]!]);
    expect(report).toMatchObject({ takenOver: 2, packetsLost: 0 });
  });

  test('one call of many can be moved; what hears each other goes together', async () => {
    const up = await callsUp(3);
    expect(await pair.command('a', 'hand-over', { streams: [up[1]!.streams[0] as StreamId] })).toEqual({
      handed: 2,
      remaining: 4,
    });
    expect(
      await pair.find(
        'b',
        up.flatMap(({ streams }) => streams),
      ),
    ).toEqual({
      here: up[1]!.streams,
      standby: [...up[0]!.streams, ...up[2]!.streams],
      unknown: [],
    });
  });

  test('without a twin nothing is refused and nothing moves until there is one', async () => {
    pair.kill('b');
    await pair.ended('b');
    const [call] = await callsUp(1);
    expect(await pair.command('a', 'drain', { on: true })).toEqual({
      handed: 0,
      remaining: 2,
      reason: 'twin_away',
    });
    await pair.put('a', spec('new'));
    await pair.startAgain('b');
    await pair.until(() => pair.events.some(({ by, type }) => by === 'b' && type === 'adopted'));
    expect(await pair.find('b', [...call!.streams, 'new'])).toMatchObject({ standby: [] });
    expect(await pair.command('a', 'drain', { on: false })).toEqual({ handed: 0, remaining: 0 });
    expect(await pair.put('a', spec('newer'))).toMatchObject({ media: 'a' });
  });
});

describe('somebody dies in the middle of a hand-over', () => {
  // Killed at many moments from before the first word to after the last; each time every stream has one owner.
  test.each([
    ['the owner', 'a', [0, 2, 5]],
    ['the receiver', 'b', [0, 2, 5]],
  ])(
    '%s: every stream goes on in the one that lives, no index is used twice',
    async (_who, victim, delaysMs) => {
      const survivor = victim === 'a' ? 'b' : 'a';
      const up = await callsUp(20);
      const ids = up.flatMap(({ streams }) => streams);
      const phones = phonesOf(up);
      const talking = talk(phones);
      await talking.heardBy(more(10, phones));
      for (const delayMs of delaysMs) {
        // All are at `a` at the beginning of each round.
        await pair.command('a', 'drain', { on: false });
        await pair.command('b', 'hand-over', {});
        expect(await pair.status('a')).toMatchObject({ streams: 40 });
        const moving = pair.command('a', 'hand-over', {}).catch(() => undefined);
        const kill = new Promise<void>((resolve) =>
          setTimeout(() => {
            pair.kill(victim);
            resolve();
          }, delayMs),
        );
        await Promise.all([moving, kill]);
        await pair.ended(victim);
        await talking.heardBy(more(5, phones));
        expect(await pair.find(survivor, ids)).toEqual({ here: ids, standby: [], unknown: [] });
        await pair.startAgain(victim);
        await pair.until(() => pair.connected(victim));
        const again = () =>
          pair.logged.filter((e) => e.by === survivor && e.event === 'media.twin-connected');
        await pair.until(() => again().length > 0);
        await talking.heardBy(more(5, phones));
      }
      talking.hush();
      for (const phone of phones) expectNoReuse(phone);
    },
  );

  test('a receiver that is frozen keeps nothing: when it is killed, all is back at its owner', async () => {
    const up = await callsUp(4);
    const ids = up.flatMap(({ streams }) => streams);
    const phones = phonesOf(up);
    const talking = talk(phones);
    await talking.heardBy(more(5, phones));
    pair.kill('b', 'SIGSTOP');
    expect(await pair.command('a', 'drain', { on: true })).toMatchObject({ handed: 0, reason: 'twin_away' });
    await talking.heardBy(more(5, phones));
    pair.kill('b');
    await pair.ended('b');
    expect(await pair.find('a', ids)).toMatchObject({ here: ids });
    await talking.heardBy(more(5, phones));
    talking.hush();
    for (const phone of phones) expectNoReuse(phone);
  });
});
