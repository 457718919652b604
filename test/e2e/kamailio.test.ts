import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { header, headerValues } from '../../src/sip/index.ts';
import { Crowd } from '../support/crowd.ts';
import { Installation } from '../support/installation.ts';
import { Kamailio } from '../support/kamailio.ts';
import { callAndTalk, hearEachOther, holdEachOther, type UserPhoneOptions } from '../support/talk.ts';

describe.skipIf(Kamailio.program === undefined)('kamailio stands between phones and Twinline', () => {
  let twinline: Installation;
  let proxy: Kamailio;
  beforeAll(async () => {
    twinline = await Installation.start();
    proxy = await Kamailio.start({ address: '127.0.0.1', port: twinline.port('udp') });
  });
  afterAll(async () => {
    await proxy?.stop();
    await twinline?.stop();
  });
  const crowd = new Crowd(() => twinline);
  afterEach(() => crowd.leave());

  const behind = (user: string, options: UserPhoneOptions = {}) =>
    crowd.phone(user, {
      ...options,
      phone: { ...options.phone, servers: [{ address: '127.0.0.1', port: proxy.port }] },
    });

  it('a phone registers through it: its Path comes back', async () => {
    const ada = await behind('1001');
    const ok = await ada.message((message) => message.kind === 'response' && message.status === 200);
    expect(header(ok, 'Path')).toContain(`127.0.0.1:${proxy.port}`);
  });

  it.each([
    ['calls', '1001', '1002'],
    ['is called by', '1002', '1001'],
  ])('a phone behind it %s one that is not: talk, hold, BYE', async (_what, from, to) => {
    const phones = new Map([
      ['1001', await behind('1001')],
      ['1002', await crowd.phone('1002', { transport: 'tls' })],
    ]);
    const talk = await callAndTalk(phones.get(from)!, phones.get(to)!);
    const proxied = from === '1001' ? talk.caller : talk.callee;
    if (from === '1002') {
      // It came by way of the proxy, which wants to see what follows.
      expect(headerValues(proxied.invite, 'Record-Route').join()).toContain(`127.0.0.1:${proxy.port}`);
      expect(headerValues(proxied.invite, 'Via')[0]).toContain(`127.0.0.1:${proxy.port}`);
      expect(headerValues(proxied.invite, 'Via')).toHaveLength(2);
    }
    await holdEachOther(talk);
    await talk.callee.bye();
    expect((await talk.caller.ended()).how).toBe('bye');
  });

  it('two phones behind it call each other; CANCEL, busy and a refusal pass', async () => {
    const ada = await behind('1001');
    const charles = await behind('1002', { answer: { mode: 'manual' } });
    const cancelled = await ada.call('1002');
    const ringing = await charles.incoming();
    await cancelled.ringing();
    cancelled.cancel();
    expect(await cancelled.ended()).toMatchObject({ how: 'cancel', status: 487 });
    expect((await ringing.ended()).how).toBe('cancel');

    const refused = await ada.call('1002');
    (await charles.incoming()).busy();
    expect(await refused.ended()).toMatchObject({ status: 486 });

    charles.answerMode = { mode: 'auto' };
    const talk = await callAndTalk(ada, charles);
    await talk.caller.bye();
    await talk.callee.ended();
  });

  it('the zone that has the call dies: what follows finds its way by the proxy', async () => {
    const ada = await behind('1001');
    const charles = await behind('1002');
    const talk = await callAndTalk(ada, charles);
    const { calls } = await twinline.twinline<{ calls: { state: string; zone: string }[] }>('calls');
    const zone = calls.find(({ state }) => state === 'talking')!.zone;
    await twinline.twinline('kill', 'zone', zone);
    await hearEachOther(talk);
    await talk.callee.hold();
    await talk.caller.event('hold', ({ type }) => type === 'held-by-peer');
    await talk.callee.resume();
    await hearEachOther(talk);
    await talk.caller.bye();
    await talk.callee.ended();
    await twinline.twinline('start', 'zone', zone);
  });
});
