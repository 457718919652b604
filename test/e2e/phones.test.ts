import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { Clock } from '../../src/base/index.ts';
import { systemClock } from '../../src/native/index.ts';
import { header } from '../../src/sip/index.ts';
import { Crowd } from '../support/crowd.ts';
import { Installation } from '../support/installation.ts';
import { KEYPAD, PCMA, PCMU } from '../support/phone-media.ts';
import type { PhoneTransportName } from '../support/phone-transport.ts';
import { audioOf, callAndTalk, hearEachOther, type Talk, type UserPhoneOptions } from '../support/talk.ts';

interface Calls {
  readonly calls: readonly { readonly id: string; readonly state: string }[];
}

let twinline: Installation;
beforeAll(async () => {
  twinline = await Installation.start();
});
afterAll(() => twinline?.stop());

const crowd = new Crowd(() => twinline);
const phoneOf = (user: string, options?: UserPhoneOptions) => crowd.phone(user, options);
afterEach(() => crowd.leave());

async function hangUp(talk: Talk): Promise<void> {
  await talk.caller.bye();
  expect((await talk.callee.ended()).how).toBe('bye');
}

describe('phones on different transports', () => {
  const pairs: readonly (readonly [PhoneTransportName, PhoneTransportName])[] = [
    ['udp', 'tls'],
    ['tls', 'tcp'],
    ['tcp', 'ws'],
    ['ws', 'wss'],
    ['wss', 'udp'],
    ['tls', 'udp'],
    ['wss', 'ws'],
    ['tcp', 'tcp'],
  ];
  it.each(pairs)('%s calls %s: talk, hold from either side, BYE', async (from, to) => {
    const ada = await phoneOf('1001', { transport: from });
    const charles = await phoneOf('1002', { transport: to });
    const talk = await callAndTalk(ada, charles);
    await talk.callee.hold();
    await talk.caller.event('hold', ({ type }) => type === 'held-by-peer');
    await talk.callee.resume();
    await talk.caller.event('resume', ({ type }) => type === 'resumed-by-peer');
    await hearEachOther(talk);
    await hangUp(talk);
    expect(ada.activeCalls).toHaveLength(0);
  });

  it('a phone with outbound is called over the connection that it opened last', async () => {
    const instanceId = 'urn:uuid:6b0f5f0e-7a52-4a54-9b1e-0d8d0a6b1a11';
    const ada = await phoneOf('1001');
    const charles = await phoneOf('1002', {
      transport: 'wss',
      phone: { instanceId, recoverAfterMs: 10 },
    });
    charles.registrations[0]!.flow.destroy();
    await charles.flowEvents.first('recovered', (event) => event === 'recovered', { waitMs: 5_000 });
    await hangUp(await callAndTalk(ada, charles));
  });
});

describe('a phone behind a NAT that forgets', () => {
  it.each([
    ['plain RTP', undefined],
    ['SRTP', ['AES_CM_128_HMAC_SHA1_80'] as const],
  ])('%s: the audio of a phone with a new source port heals within 5 s', async (_name, srtp) => {
    const options = srtp === undefined ? {} : { srtp, transport: 'tls' as const };
    const ada = await phoneOf('1003', options);
    const charles = await phoneOf('1004', options);
    const talk = await callAndTalk(ada, charles);
    await audioOf(talk.caller).rebind();
    await hearEachOther(talk, 5, 5_000);
    await hangUp(talk);
  });
});

describe('keys pressed', () => {
  it('RFC 4733 events pass between legs with different payload types', async () => {
    const keypad = (payloadType: number) => ({ ...KEYPAD, payloadType });
    const ada = await phoneOf('1001', { media: { codecs: [PCMU, keypad(96)] } });
    const charles = await phoneOf('1002', { media: { codecs: [PCMA, PCMU, keypad(110)] } });
    const talk = await callAndTalk(ada, charles);
    audioOf(talk.caller).press('159#');
    audioOf(talk.callee).press('0*2');
    // Two seconds of packets: each key lasts 100 ms and is followed by its ends.
    await hearEachOther(talk, 60);
    expect(audioOf(talk.callee).stats().digits).toBe('159#');
    expect(audioOf(talk.caller).stats().digits).toBe('0*2');
    for (const call of [talk.caller, talk.callee])
      expect(audioOf(call).stats()).toMatchObject({ unexpectedPayload: 0, indexReused: 0 });
    await hangUp(talk);
  });

  it('INFO digits pass end to end', async () => {
    const ada = await phoneOf('1001', { transport: 'tcp' });
    const charles = await phoneOf('1002');
    const talk = await callAndTalk(ada, charles);
    expect((await talk.caller.info('7')).status).toBe(200);
    await talk.callee.event('7', (event) => event.type === 'dtmf' && event.digit === '7');
    await hangUp(talk);
  });
});

describe('a user with several phones', () => {
  it('all ring, the first to answer has the call, the others are cancelled', async () => {
    const ada = await phoneOf('1001');
    const answer = { mode: 'manual' } as const;
    const desk = await phoneOf('1002', { answer });
    const app = await phoneOf('1002', { answer, transport: 'wss' });
    const spare = await phoneOf('1002', { answer, transport: 'tls' });
    const caller = await ada.call('1002');
    const [atDesk, atApp, atSpare] = await Promise.all([desk.incoming(), app.incoming(), spare.incoming()]);
    await caller.ringing();
    atApp.answer();
    await caller.answered();
    await hearEachOther({ caller, callee: atApp });
    for (const loser of [atDesk, atSpare])
      expect(await loser.ended()).toMatchObject({ by: 'peer', how: 'cancel' });
    // RFC 3326: answered elsewhere, so the losers show no missed call.
    const cancel = await desk.message((message) => message.kind === 'request' && message.method === 'CANCEL');
    expect(header(cancel, 'Reason')).toMatch(/^SIP\s*;\s*cause=200/);
    await hangUp({ caller, callee: atApp });
  });

  it('one is busy, the other rings on; when all refuse, the caller hears so', async () => {
    const ada = await phoneOf('1001');
    const desk = await phoneOf('1002', { answer: { mode: 'busy' } });
    const app = await phoneOf('1002', { answer: { mode: 'manual' }, transport: 'ws' });
    const caller = await ada.call('1002');
    const atApp = await app.incoming();
    expect((await (await desk.incoming()).ended()).status).toBe(486);
    await caller.ringing();
    expect(caller.end).toBeUndefined();
    atApp.busy();
    expect(await caller.ended()).toMatchObject({ how: 'failed', status: 486 });
  });

  it('declined on one phone: the others stop ringing', async () => {
    const ada = await phoneOf('1001');
    const desk = await phoneOf('1002', { answer: { mode: 'manual' } });
    const app = await phoneOf('1002', { answer: { mode: 'manual' } });
    const caller = await ada.call('1002');
    const [atDesk, atApp] = await Promise.all([desk.incoming(), app.incoming()]);
    atDesk.decline();
    expect(await caller.ended()).toMatchObject({ status: 603 });
    expect((await atApp.ended()).how).toBe('cancel');
  });
});

describe('before the answer', () => {
  it('early media of the callee is heard, then the answer', async () => {
    const ada = await phoneOf('1001');
    const charles = await phoneOf('1002', { answer: { mode: 'early-media' } });
    const caller = await ada.call('1002');
    const callee = await charles.incoming();
    await caller.ringing(183);
    await audioOf(caller).heard({ packets: 10, withinMs: 5_000, from: audioOf(callee).sender });
    expect(caller.end).toBeUndefined();
    callee.answer();
    await caller.answered();
    await hearEachOther({ caller, callee });
    await hangUp({ caller, callee });
  });

  it.each(['supported', 'required'] as const)(
    '100rel %s by the caller: early media with PRACK',
    async (reliable) => {
      const ada = await phoneOf('1001', { phone: { reliable } });
      const charles = await phoneOf('1002', {
        answer: { mode: 'early-media' },
        phone: { reliable: 'supported' },
        transport: 'tls',
      });
      const caller = await ada.call('1002');
      const callee = await charles.incoming();
      await caller.ringing(183);
      const early = await ada.message((message) => message.kind === 'response' && message.status === 183);
      expect(header(early, 'RSeq')).toMatch(/^\d+$/);
      callee.answer();
      await caller.answered();
      await hearEachOther({ caller, callee });
      await hangUp({ caller, callee });
    },
  );

  it('the caller gives up: the callee stops ringing', async () => {
    const ada = await phoneOf('1001');
    const charles = await phoneOf('1002', { answer: { mode: 'manual' }, transport: 'tcp' });
    const caller = await ada.call('1002');
    const callee = await charles.incoming();
    await caller.ringing();
    caller.cancel();
    expect(await caller.ended()).toMatchObject({ how: 'cancel', status: 487 });
    expect((await callee.ended()).how).toBe('cancel');
  });

  it('a late offer: the callee offers, the caller answers in its ACK', async () => {
    const ada = await phoneOf('1001');
    const charles = await phoneOf('1002', { transport: 'ws' });
    const caller = await ada.call('1002', { offer: 'none' });
    const callee = await charles.incoming();
    await caller.answered();
    await callee.acknowledged();
    await hearEachOther({ caller, callee });
    await hangUp({ caller, callee });
  });
});

/** Time that runs so many times as fast: a session of 90 s is to be refreshed after 45 s, which nobody wants to wait for. */
const hurried = (times: number): Clock => ({
  nowMs: () => systemClock.nowMs() * times,
  utcMs: () => systemClock.utcMs(),
  after: (delayMs, action) => systemClock.after(delayMs / times, action),
});

describe('a long call', () => {
  const sessionTimer = { intervalSec: 90, minSec: 90 };

  it('the caller refreshes its session after half of the interval, and both talk on', async () => {
    const ada = await phoneOf('1001', {
      transport: 'tcp',
      phone: { sessionTimer, clock: hurried(45), keepAliveMs: 0 },
    });
    const charles = await phoneOf('1002', { transport: 'tls' });
    const talk = await callAndTalk(ada, charles);
    await talk.caller.event('a refresh', ({ type }) => type === 'refreshed');
    await hearEachOther(talk);
    await hangUp(talk);
  });

  it('either side may refresh, by UPDATE or by re-INVITE', async () => {
    const ada = await phoneOf('1001', { phone: { sessionTimer } });
    const charles = await phoneOf('1002', { phone: { sessionTimer } });
    const talk = await callAndTalk(ada, charles);
    for (const refresh of [
      () => talk.caller.update(),
      () => talk.callee.update(),
      () => talk.caller.reinvite(),
      () => talk.callee.reinvite(),
    ]) {
      const response = await refresh();
      expect(response.status).toBe(200);
      expect(header(response, 'Session-Expires')).toMatch(/^90\s*;\s*refresher=ua[cs]$/);
    }
    await hearEachOther(talk);
    await hangUp(talk);
  });

  it('an interval below the least gets 422 with Min-SE', async () => {
    const ada = await phoneOf('1001', { phone: { sessionTimer } });
    const charles = await phoneOf('1002');
    const flow = await ada.flowFor('sip:1002@demo.twinline.test');
    const talk = await callAndTalk(ada, charles);
    const response = await talk.caller.request({
      method: 'UPDATE',
      contact: ada.contact(flow),
      headers: [
        { name: 'Supported', value: 'timer' },
        { name: 'Session-Expires', value: '60' },
      ],
    });
    expect(response.status).toBe(422);
    expect(header(response, 'Min-SE')).toBe('90');
    await hangUp(talk);
  });
});

describe('a user who talks already', () => {
  it('call waiting: a second call rings, is taken with the first on hold, and both end', async () => {
    const ada = await phoneOf('1001');
    const grace = await phoneOf('1003', { transport: 'tls' });
    const charles = await phoneOf('1002');
    const first = await callAndTalk(ada, charles);
    await first.callee.hold();
    const second = await callAndTalk(grace, charles);
    const { calls } = await twinline.twinline<Calls>('calls');
    expect(calls.filter(({ state }) => state !== 'ended')).toHaveLength(2);
    await hangUp(second);
    await first.callee.resume();
    await hearEachOther(first);
    await hangUp(first);
  });

  it('a phone that says busy: the caller gets 486', async () => {
    const ada = await phoneOf('1001');
    const charles = await phoneOf('1002', { answer: { mode: 'busy' } });
    const caller = await ada.call('1002');
    await charles.incoming();
    expect(await caller.ended()).toMatchObject({ how: 'failed', status: 486 });
  });
});

describe('numbers', () => {
  it('another site is reached with its code', async () => {
    const ada = await phoneOf('1001');
    const almon = await phoneOf('1009');
    await hangUp(await callAndTalk(ada, almon, '821009'));
  });

  it('nobody has that extension: 404; nobody is registered: 480', async () => {
    const ada = await phoneOf('1001');
    expect(await (await ada.call('1999')).ended()).toMatchObject({ how: 'failed', status: 404 });
    expect(await (await ada.call('1008')).ended()).toMatchObject({ how: 'failed', status: 480 });
  });
});
