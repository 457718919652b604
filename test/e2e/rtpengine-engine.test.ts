import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest';
import { findProcesses } from '../../src/control/index.ts';
import { killExact } from '../../src/native/index.ts';
import { Crowd } from '../support/crowd.ts';
import { EditedFile } from '../support/edited-file.ts';
import { Installation } from '../support/installation.ts';
import type { Status } from '../support/many-calls.ts';
import { freePort } from '../support/peer.ts';
import type { Phone } from '../support/phone.ts';
import { Rtpengine, rtpengineAt } from '../support/rtpengine.ts';
import { audioOf, callAndTalk, hearEachOther, holdEachOther, type Talk } from '../support/talk.ts';

const PORTS = [
  [24_000, 24_199],
  [24_200, 24_399],
] as const;

/** The keys that we told a phone, in the order in which it heard of them. */
const keysToldTo = (phone: Phone): string[] => [
  ...new Set(
    phone.received.items.flatMap(({ message }) =>
      [...message.body.matchAll(/^a=crypto:\d+ \S+ inline:([^|\s]+)/gm)].map(([, key]) => key!),
    ),
  ),
];

/** The port to which a phone was told to send last. */
const portToldTo = (phone: Phone): number =>
  Number(
    phone.received.items.flatMap(({ message }) => /^m=audio (\d+)/m.exec(message.body)?.[1] ?? []).at(-1),
  );

const invitesTo = (phone: Phone): number =>
  phone.received.items.filter(({ message }) => message.kind === 'request' && message.method === 'INVITE')
    .length;

describe.skipIf(Rtpengine.program === undefined)('an installation whose media is rtpengine', () => {
  const file = new EditedFile('sip-zones/rtpengine.yaml');
  let engines: Rtpengine[] = [];
  let twinline: Installation;
  const crowd = new Crowd(() => twinline);
  beforeEach(async () => {
    engines = await Promise.all(PORTS.map((mediaPorts) => Rtpengine.start({ threads: 1, mediaPorts })));
    const topology = file.with(
      ["['127.0.0.1:22222']", `['127.0.0.1:${engines[0]!.port}']`],
      ["['127.0.0.1:22223']", `['127.0.0.1:${engines[1]!.port}']`],
      ['    rtpengine-command: [rtpengine]\n', ''],
      ['    rtpengine-command: [rtpengine]\n', ''],
    );
    twinline = await Installation.start({ topology });
  });
  afterEach(async () => {
    await crowd.leave();
    await twinline?.stop();
    await Promise.all(engines.map((engine) => engine.stop()));
  });
  afterAll(() => file.remove());

  /** Two calls, of which one is encrypted at both ends, by other suites. */
  async function talks(): Promise<(Talk & { readonly phones: readonly [Phone, Phone] })[]> {
    const secret = [
      await crowd.phone('1001', { transport: 'tls', srtp: ['AEAD_AES_256_GCM'] }),
      await crowd.phone('1002', { transport: 'tls', srtp: ['AES_CM_128_HMAC_SHA1_80'] }),
    ] as const;
    const plain = [await crowd.phone('1003'), await crowd.phone('1004')] as const;
    return Promise.all(
      [secret, plain].map(async (phones) => ({ ...(await callAndTalk(...phones)), phones })),
    );
  }

  const inRange = (port: number, [first, last]: readonly [number, number]): boolean =>
    port >= first && port <= last;

  it('phones hear each other by it, hold, resume and hang up; records have its figures', async () => {
    for (const { caller, callee, phones } of await talks()) {
      for (const phone of phones)
        expect(
          PORTS.some((range) => inRange(portToldTo(phone), range)),
          String(portToldTo(phone)),
        ).toBe(true);
      const before = phones.map((phone) => [portToldTo(phone), keysToldTo(phone).length]);
      await holdEachOther({ caller, callee });
      expect(phones.map((phone) => [portToldTo(phone), keysToldTo(phone).length])).toEqual(before);
      await caller.bye();
      expect((await callee.ended()).how).toBe('bye');
      for (const call of [caller, callee])
        expect(audioOf(call).stats()).toMatchObject({ authFailures: 0, unprotectable: 0 });
    }
    const calls = async () => (await twinline.twinline<Status>('status')).calls;
    await expect.poll(calls, { timeout: 20_000 }).toBe(0);
    const left = async () => {
      const replies = await Promise.all(
        engines.map((engine) => engine.ask({ command: 'list', limit: '99' })),
      );
      return replies.map((reply) => (reply as unknown as { calls: string[] }).calls);
    };
    await expect.poll(left, { timeout: 20_000 }).toEqual([[], []]);
  });

  it('its zone dies: both ends get a re-INVITE with new keys, and hear each other by the other rtpengine', async () => {
    const running = await talks();
    const told = running.map(({ phones }) => phones.map(keysToldTo));
    const asked = running.map(({ phones }) => phones.map(invitesTo));
    const where = running.map(({ phones }) =>
      PORTS.findIndex((range) => inRange(portToldTo(phones[0]), range)),
    );
    const dead = where[0]!;
    const zone = ['a', 'b'][dead]!;
    const [supervisor] = findProcesses(`${twinline.data}/run/plan.json`).filter(
      ({ role, id }) => role === 'zone' && id === zone,
    );
    await engines[dead]!.stop();
    killExact(supervisor!.pid, supervisor!.startTime, 'SIGKILL');
    for (const [at, talk] of running.entries()) {
      if (where[at] !== dead) continue;
      const { caller, callee, phones } = talk;
      await hearEachOther(talk, 50, 30_000);
      expect(phones.map(invitesTo)).toEqual(asked[at]!.map((count) => count + 1));
      for (const phone of phones) expect(inRange(portToldTo(phone), PORTS[1 - dead]!)).toBe(true);
      const isSecret = told[at]!.every((keys) => keys.length > 0);
      if (isSecret)
        expect(phones.map((phone) => keysToldTo(phone).length)).toEqual(
          told[at]!.map((keys) => keys.length + 1),
        );
      await holdEachOther(talk);
      await caller.bye();
      expect((await callee.ended()).how).toBe('bye');
    }
  });

  it('rtpengine itself ends: the calls go on by the other one', async () => {
    const running = await talks();
    const where = running.map(({ phones }) =>
      PORTS.findIndex((range) => inRange(portToldTo(phones[0]), range)),
    );
    const dead = where[0]!;
    await engines[dead]!.stop();
    for (const [at, talk] of running.entries()) {
      if (where[at] !== dead) continue;
      await hearEachOther(talk, 50, 30_000);
      for (const phone of talk.phones) expect(inRange(portToldTo(phone), PORTS[1 - dead]!)).toBe(true);
      await talk.caller.bye();
      await talk.callee.ended();
    }
    // Those who call now go there too.
    await Promise.all(
      running.map(async ({ phones: [from, to] }, at) => {
        if (where[at] !== dead) return;
        const again = await callAndTalk(from, to);
        await again.caller.bye();
        await again.callee.ended();
      }),
    );
  });
});

describe.skipIf(Rtpengine.program === undefined)('an installation that starts its rtpengines itself', () => {
  const file = new EditedFile('sip-zones/rtpengine.yaml');
  let ng: readonly [number, number];
  let twinline: Installation;
  const crowd = new Crowd(() => twinline);
  beforeEach(async () => {
    ng = [await freePort(), await freePort()];
    const topology = file.with(
      ["['127.0.0.1:22222']", `['127.0.0.1:${ng[0]}']`],
      ["['127.0.0.1:22223']", `['127.0.0.1:${ng[1]}']`],
    );
    twinline = await Installation.start({ topology });
  });
  afterEach(async () => {
    await crowd.leave();
    await twinline?.stop();
  });
  afterAll(() => file.remove());

  /** Zones share the range out in their order. */
  function zoneOf(phone: Phone): 0 | 1 {
    const [first, last] = twinline.mediaPorts;
    return portToldTo(phone) < (first + last + 1) / 2 ? 0 : 1;
  }

  it('one ends: its calls go on by the other, and it is started again; a zone takes its own with it', async () => {
    expect(ng.map((port) => rtpengineAt(port).length)).toEqual([1, 1]);
    const [ada, charles] = [await crowd.phone('1001'), await crowd.phone('1002')];
    const talk = await callAndTalk(ada, charles);
    const first = zoneOf(ada);
    const [dead] = rtpengineAt(ng[first]);
    process.kill(dead!, 'SIGKILL');
    await hearEachOther(talk, 50, 30_000);
    expect([zoneOf(ada), zoneOf(charles)]).toEqual([1 - first, 1 - first]);
    await expect.poll(() => rtpengineAt(ng[first]), { timeout: 10_000 }).not.toContain(dead);
    await expect.poll(() => rtpengineAt(ng[first]).length, { timeout: 10_000 }).toBe(1);

    // The calls' present zone dies, and they come back to the one that was started again.
    await twinline.twinline('kill', 'zone', ['a', 'b'][1 - first]!);
    await hearEachOther(talk, 50, 30_000);
    expect([zoneOf(ada), zoneOf(charles)]).toEqual([first, first]);
    expect(rtpengineAt(ng[1 - first]!)).toEqual([]);
    await talk.caller.bye();
    await talk.callee.ended();

    await crowd.leave();
    await twinline.stop();
    expect(ng.flatMap((port) => rtpengineAt(port))).toEqual([]);
  });
});
