import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { Baresip } from '../support/baresip.ts';
import { Baresips } from '../support/baresips.ts';
import { callRecords } from '../support/call-records.ts';
import { Chromium } from '../support/chromium.ts';
import { Installation } from '../support/installation.ts';

const ADA_HZ = 500;
const CHARLES_HZ = 900;
const GRACE_HZ = 1_300;

interface Calls {
  readonly calls: readonly { readonly id: string; readonly state: string; readonly zone: string }[];
}

/** Phones of two makers ask for it by REFER (RFC 3515). */
describe.skipIf(Baresip.program === undefined)('direct transfer (PH-CALL-01, PH-CALL-02)', () => {
  let twinline: Installation;
  beforeAll(async () => {
    twinline = await Installation.start();
  });
  afterAll(() => twinline?.stop());
  const baresips = new Baresips(() => twinline);
  afterEach(() => baresips.leave());

  const callIn = async (state: string) => {
    const { calls } = await twinline.twinline<Calls>('calls');
    return calls.find((call) => call.state === state);
  };

  async function talk(from: Baresip, to: Baresip): Promise<void> {
    const [atFrom, atTo] = [from.events.next, to.events.next];
    await from.dial(to.user);
    await Promise.all([
      from.event('CALL_ESTABLISHED', { from: atFrom }),
      to.event('CALL_ESTABLISHED', { from: atTo }),
    ]);
    await Promise.all([from.hears(to.options.toneHz), to.hears(from.options.toneHz)]);
  }

  it('ada calls charles, who sends her on to grace: they hear each other, and the record tells of it', async () => {
    const ada = await baresips.start('1001', ADA_HZ);
    const charles = await baresips.start('1002', CHARLES_HZ, {
      transport: 'tls',
      mediaEncryption: 'srtp-mand',
    });
    const grace = await baresips.start('1003', GRACE_HZ);
    const known = callRecords(twinline).length;
    await talk(ada, charles);
    const [atCharles, atGrace] = [charles.events.next, grace.events.next];
    await charles.transfer('1003');
    await grace.event('CALL_ESTABLISHED', { from: atGrace });
    await charles.event('CALL_CLOSED', { from: atCharles });
    await Promise.all([ada.hears(GRACE_HZ), grace.hears(ADA_HZ)]);
    await ada.hangUp();
    await grace.event('CALL_CLOSED', { from: atGrace });
    await expect.poll(() => callRecords(twinline).length, { timeout: 10_000 }).toBe(known + 1);
    const record = callRecords(twinline).at(-1)!;
    expect(record).toMatchObject({
      outcome: 'answered',
      transfers: [{ by: '1002', to: '1003', outcome: 'answered' }],
    });
    // Charles' phone was asked twice, as it refuses RTP/AVP.
    const heard = record.legs.filter(({ media }) => (media?.packetsReceived ?? 0) > 0);
    expect(heard.map(({ user }) => user)).toEqual(['1001', '1002', '1003']);
  });

  it('the zone dies while grace’s phone rings: the twin lets her answer, and lets charles go', async () => {
    const ada = await baresips.start('1001', ADA_HZ);
    const charles = await baresips.start('1002', CHARLES_HZ);
    const grace = await baresips.start('1003', GRACE_HZ, { answer: 'manual' });
    await talk(ada, charles);
    const [atCharles, atGrace] = [charles.events.next, grace.events.next];
    await charles.transfer('1003');
    await grace.event('CALL_INCOMING', { from: atGrace });
    await expect.poll(() => callIn('ringing'), { timeout: 10_000 }).toBeDefined();
    const { zone, id } = (await callIn('ringing'))!;

    await twinline.twinline('kill', 'zone', zone);
    await grace.command('accept');
    await grace.event('CALL_ESTABLISHED', { from: atGrace });
    await charles.event('CALL_CLOSED', { from: atCharles });
    await Promise.all([ada.hears(GRACE_HZ), grace.hears(ADA_HZ)]);
    expect(await callIn('talking')).toMatchObject({ id });
    expect((await callIn('talking'))?.zone).not.toBe(zone);
    await grace.hangUp();
    await twinline.twinline('start', 'zone', zone);
  });

  it.skipIf(Chromium.program === undefined)(
    'a browser with sip.js transfers baresip to another one: it is told of every step',
    async () => {
      const chromium = await Chromium.start();
      try {
        const ada = await baresips.start('1001', ADA_HZ);
        const grace = await baresips.start('1003', GRACE_HZ);
        const server = `ws://127.0.0.1:${twinline.port('ws')}`;
        const browser = await chromium.phone({ user: '1002', toneHz: CHARLES_HZ, server });
        await ada.dial('1002');
        await browser.event('session', { state: 'Established' });
        await Promise.all([ada.hears(CHARLES_HZ), browser.hears(ADA_HZ)]);
        const atGrace = grace.events.next;
        const told = await browser.refer('1003');
        expect(told.at(0)).toBe('SIP/2.0 100 Trying');
        expect(told.at(-1)).toBe('SIP/2.0 200 OK');
        await grace.event('CALL_ESTABLISHED', { from: atGrace });
        await browser.event('session', { state: 'Terminated' });
        await Promise.all([ada.hears(GRACE_HZ), grace.hears(ADA_HZ)]);
        await ada.hangUp();
        await grace.event('CALL_CLOSED', { from: atGrace });
      } finally {
        await chromium.stop();
      }
    },
  );
});
