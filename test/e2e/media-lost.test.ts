import path from 'node:path';
import { afterEach, expect, it } from 'vitest';
import { findProcesses } from '../../src/control/index.ts';
import { killExact } from '../../src/native/index.ts';
import { Crowd } from '../support/crowd.ts';
import { Installation } from '../support/installation.ts';
import type { Status } from '../support/many-calls.ts';
import type { Phone } from '../support/phone.ts';
import { audioOf, callAndTalk, hearEachOther, holdEachOther, type Talk } from '../support/talk.ts';

let twinline: Installation;
const crowd = new Crowd(() => twinline);
afterEach(async () => {
  await crowd.leave();
  await twinline?.stop();
});

/** Both at one moment: neither can take over from the other. */
function killBothMedia(): void {
  const media = findProcesses(path.join(twinline.data, 'run/plan.json')).filter(
    ({ role }) => role === 'media',
  );
  expect(media).toHaveLength(2);
  for (const { pid, startTime } of media) killExact(pid, startTime, 'SIGKILL');
}

/** The keys that we told a phone, in the order in which it heard of them. */
const keysToldTo = (phone: Phone): string[] => [
  ...new Set(
    phone.received.items.flatMap(({ message }) =>
      [...message.body.matchAll(/^a=crypto:\d+ \S+ inline:([^|\s]+)/gm)].map(([, key]) => key!),
    ),
  ),
];

it('both media processes die under calls with SRTP: new keys by re-INVITE, audio both ways, nobody hung up', async () => {
  twinline = await Installation.start();
  const talks: (Talk & { readonly phones: readonly [Phone, Phone] })[] = [];
  // A phone that keeps its key, and whose sequence numbers have wrapped under it.
  const media = { startSequence: 65_500 };
  for (const [from, to, left, right] of [
    ['1001', '1002', 'AEAD_AES_256_GCM', 'AEAD_AES_256_GCM'],
    ['1003', '1004', 'AES_CM_128_HMAC_SHA1_80', 'AEAD_AES_128_GCM'],
    ['1005', '1006', 'AES_256_CM_HMAC_SHA1_80', undefined],
    ['1007', '1008', undefined, undefined],
  ] as const) {
    const phoneOf = (user: string, suite: typeof left | typeof right) =>
      crowd.phone(user, suite === undefined ? {} : { transport: 'tls', srtp: [suite], media });
    const phones = [await phoneOf(from, left), await phoneOf(to, right)] as const;
    talks.push({ ...(await callAndTalk(...phones)), phones });
  }
  // The wrap is behind them.
  await Promise.all(talks.map((talk) => hearEachOther(talk, 60)));
  const before = talks.map(({ phones }) => phones.map((phone) => phone.received.next));
  const protections = talks.map(({ caller, callee }) =>
    [caller, callee].map((call) => audioOf(call).stats().protection),
  );
  const told = talks.map(({ phones }) => phones.map(keysToldTo));
  for (const { caller, callee } of talks) for (const call of [caller, callee]) audioOf(call).resetGap();

  killBothMedia();
  await Promise.all(talks.map((talk) => hearEachOther(talk, 100, 15_000)));

  const gaps = talks.map(({ caller, callee }) =>
    [caller, callee].map((call) => Math.round(audioOf(call).stats().longestGapMs)),
  );
  console.log('both media processes killed: longest gaps in ms', JSON.stringify(gaps));
  expect((await twinline.twinline<Status>('status')).calls).toBe(talks.length);
  for (const [at, { caller, callee, phones }] of talks.entries()) {
    for (const [side, call] of [caller, callee].entries()) {
      const stats = audioOf(call).stats();
      expect(stats).toMatchObject({ indexReused: 0, rtcpIndexReused: 0, authFailures: 0, unprotectable: 0 });
      expect(stats.protection).toBe(protections[at]![side]);
      const phone = phones[side]!;
      const { items, next } = phone.received;
      const since = items.slice(items.length - (next - before[at]![side]!));
      const requests = since.flatMap(({ message }) => (message.kind === 'request' ? [message.method] : []));
      // A plain stream is opened again just where it was: the phone is told nothing.
      expect(requests).toEqual(stats.protection === 'plain' ? [] : ['INVITE', 'ACK']);
      if (stats.protection !== 'plain') expect(keysToldTo(phone).length).toBe(told[at]![side]!.length + 1);
    }
    await holdEachOther({ caller, callee });
    await caller.bye();
    expect((await callee.ended()).how).toBe('bye');
  }
  // No key stands for two streams anywhere.
  const all = talks.flatMap(({ phones }) => phones.flatMap(keysToldTo));
  expect(new Set(all).size).toBe(all.length);
});
