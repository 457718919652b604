import path from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { Crowd } from '../support/crowd.ts';
import { Installation, ROOT } from '../support/installation.ts';
import { KamailioEdge } from '../support/kamailio.ts';
import { statusWhen, zoneOf } from '../support/many-calls.ts';
import { callAndTalk, hearEachOther, holdEachOther, type UserPhoneOptions } from '../support/talk.ts';

type Transport = 'udp' | 'tcp' | 'tls' | 'ws' | 'wss';

interface Summary {
  state: string;
  zone: 'a' | 'b';
}

describe.skipIf(KamailioEdge.missing !== undefined)('kamailio is the edge of two zones', () => {
  let twinline: Installation;
  let edge: KamailioEdge;
  beforeAll(async () => {
    twinline = await Installation.start({ topology: path.join(ROOT, 'sip-zones/kamailio.yaml') });
    edge = await KamailioEdge.start([
      { address: '127.0.0.1', port: twinline.portBase + 60 },
      { address: '127.0.0.1', port: twinline.portBase + 70 },
    ]);
  });
  afterAll(async () => {
    await edge?.stop();
    await twinline?.stop();
  });
  const crowd = new Crowd(() => twinline);
  afterEach(() => crowd.leave());

  const phone = (user: string, transport: Transport = 'udp', options: UserPhoneOptions = {}) =>
    crowd.phone(user, {
      ...options,
      transport,
      phone: { ...options.phone, servers: [{ address: '127.0.0.1', port: edge.ports[transport] }] },
    });

  /** Of the only call there is. */
  async function zoneOfCall(state: string): Promise<'a' | 'b'> {
    await expect
      .poll(async () =>
        (await twinline.twinline<{ calls: Summary[] }>('calls')).calls.map((call) => call.state),
      )
      .toEqual([state]);
    return (await twinline.twinline<{ calls: Summary[] }>('calls')).calls[0]!.zone;
  }

  const killZone = (zone: string) => twinline.twinline('kill', 'zone', zone);
  async function startZone(zone: string): Promise<void> {
    await twinline.twinline('start', 'zone', zone);
    await statusWhen(twinline, `zone ${zone} is up`, (status) => zoneOf(status, zone)?.state === 'up');
  }

  it.each([
    ['udp', 'tls'],
    ['tls', 'udp'],
    ['tcp', 'wss'],
    ['wss', 'ws'],
  ] as const)('a phone over %s calls one over %s: talk, hold by either side, BYE', async (from, to) => {
    const ada = await phone('1001', from);
    const charles = await phone('1002', to);
    const talk = await callAndTalk(ada, charles);
    await holdEachOther(talk);
    await talk.callee.bye();
    expect((await talk.caller.ended()).how).toBe('bye');
  });

  it('calls are spread over both zones', async () => {
    const ada = await phone('1001', 'tls');
    const charles = await phone('1002', 'tcp');
    const zones = new Set<string>();
    for (let call = 0; call < 4; call++) {
      const talk = await callAndTalk(ada, charles);
      zones.add(await zoneOfCall('talking'));
      await talk.caller.bye();
      await talk.callee.ended();
    }
    expect([...zones].sort()).toEqual(['a', 'b']);
  });

  describe('the zone of the call dies', () => {
    it('while it rings: the callee answers, they talk', async () => {
      const ada = await phone('1001', 'tls');
      const charles = await phone('1002', 'tcp', { answer: { mode: 'manual' } });
      const adas = await ada.call('1002');
      const charless = await charles.incoming();
      await adas.ringing();
      const zone = await zoneOfCall('ringing');
      await killZone(zone);
      await charless.answer();
      await adas.answered();
      await charless.acknowledged();
      await hearEachOther({ caller: adas, callee: charless });
      await adas.bye();
      await charless.ended();
      await startZone(zone);
    });

    it('while it rings: the caller gives up, the callee stops ringing', async () => {
      const ada = await phone('1001', 'wss');
      const charles = await phone('1002', 'udp', { answer: { mode: 'manual' } });
      const adas = await ada.call('1002');
      const charless = await charles.incoming();
      await adas.ringing();
      const zone = await zoneOfCall('ringing');
      await killZone(zone);
      adas.cancel();
      expect(await adas.ended()).toMatchObject({ how: 'cancel', status: 487 });
      expect((await charless.ended()).how).toBe('cancel');
      await startZone(zone);
    });

    it('while one is held, and while they talk: resume, hold and BYE find the twin', async () => {
      const ada = await phone('1001', 'tls');
      const charles = await phone('1002', 'ws');
      const talk = await callAndTalk(ada, charles);
      await talk.caller.hold();
      const zone = await zoneOfCall('held');
      await killZone(zone);
      await talk.caller.resume();
      await hearEachOther(talk);
      await startZone(zone);
      const twin = zone === 'a' ? 'b' : 'a';
      await killZone(twin);
      await talk.callee.hold();
      await talk.caller.event('hold', ({ type }) => type === 'held-by-peer');
      await talk.callee.resume();
      await hearEachOther(talk);
      await talk.callee.bye();
      expect((await talk.caller.ended()).how).toBe('bye');
      await startZone(twin);
    });
  });

  it('a door dies: what follows goes by the other, in both directions', async () => {
    const ada = await phone('1001', 'tls');
    const charles = await phone('1002', 'tcp');
    const talk = await callAndTalk(ada, charles);
    for (const door of ['door1', 'door2']) {
      await twinline.twinline('kill', 'edge', door);
      await talk.caller.hold();
      await talk.callee.event('hold', ({ type }) => type === 'held-by-peer');
      await talk.caller.resume();
      await hearEachOther(talk);
      await expect
        .poll(
          async () =>
            (
              await twinline.twinline<{ edges: { state: string; openZones: string[] }[] }>('status')
            ).edges.map(({ openZones }) => openZones.length),
          { timeout: 20_000 },
        )
        .toEqual([2, 2]);
    }
    await talk.callee.bye();
    expect((await talk.caller.ended()).how).toBe('bye');
  });
});
