import path from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { Baresip, type BaresipOptions } from '../support/baresip.ts';
import { Baresips } from '../support/baresips.ts';
import { Crowd } from '../support/crowd.ts';
import { Installation, ROOT } from '../support/installation.ts';
import { audioOf } from '../support/talk.ts';

interface Calls {
  readonly calls: readonly { readonly id: string; readonly state: string; readonly zone: string }[];
}

const ADA_HZ = 500;
const CHARLES_HZ = 1_100;

describe.skipIf(Baresip.program === undefined)('baresip', () => {
  let twinline: Installation;
  beforeAll(async () => {
    twinline = await Installation.start({
      config: path.join(ROOT, 'test/support/configuration/protection'),
    });
  });
  afterAll(() => twinline?.stop());

  const baresips = new Baresips(() => twinline);
  const crowd = new Crowd(() => twinline);
  afterEach(async () => {
    await baresips.leave();
    await crowd.leave();
  });

  const hearEachOther = (ada: Baresip, charles: Baresip) =>
    Promise.all([ada.hears(charles.options.toneHz), charles.hears(ada.options.toneHz)]);

  const receiveFromEachOther = (ada: Baresip, charles: Baresip) =>
    Promise.all([ada.receives(25), charles.receives(25)]);

  async function callAndTalk(ada: Baresip, charles: Baresip): Promise<void> {
    const [atAda, atCharles] = [ada.events.next, charles.events.next];
    await ada.dial(charles.user);
    await Promise.all([
      ada.event('CALL_ESTABLISHED', { from: atAda }),
      charles.event('CALL_ESTABLISHED', { from: atCharles }),
    ]);
    await hearEachOther(ada, charles);
  }

  /** `srtp-mand` takes RTP/SAVP alone; a desk phone is offered that first only where its site demands encryption. */
  const legs: readonly (readonly [string, string, string, Partial<BaresipOptions>])[] = [
    ['UDP', '1003', '1004', { transport: 'udp' }],
    ['TCP', '1003', '1004', { transport: 'tcp' }],
    ['TLS and SRTP where it may be left out', '1003', '1004', { transport: 'tls', mediaEncryption: 'srtp' }],
    [
      'TLS and SRTP that the phones demand',
      '1003',
      '1004',
      { transport: 'tls', mediaEncryption: 'srtp-mand' },
    ],
    [
      'TLS and SRTP that their site demands',
      '2001',
      '2002',
      { transport: 'tls', mediaEncryption: 'srtp-mand' },
    ],
  ];

  it.each(legs)(
    'over %s: registers, talks, holds, resumes, hangs up from either side',
    async (_name, from, to, options) => {
      const ada = await baresips.start(from, ADA_HZ, options);
      const charles = await baresips.start(to, CHARLES_HZ, options);
      await callAndTalk(ada, charles);
      const secured = /SRTP is Enabled \(cryptosuite=AES_CM_128_HMAC_SHA1_80\)/;
      expect(secured.test(ada.log)).toBe(options.mediaEncryption !== undefined);
      expect(secured.test(charles.log)).toBe(options.mediaEncryption !== undefined);

      const [toAda, toCharles] = [ada.mark, charles.mark];
      await ada.hold();
      await charles.said(/a=(sendonly|inactive)/, { from: toCharles });
      await ada.said(/a=(recvonly|inactive)/, { from: toAda });
      await ada.resume();
      await receiveFromEachOther(ada, charles);

      const closed = charles.events.next;
      await ada.hangUp();
      await charles.event('CALL_CLOSED', { from: closed });

      // The other way round, and the called one ends it.
      await callAndTalk(charles, ada);
      const again = charles.events.next;
      await ada.hangUp();
      await charles.event('CALL_CLOSED', { from: again });
    },
  );

  it('refuses and gives up: busy and CANCEL are understood', async () => {
    const ada = await baresips.start('1003', ADA_HZ);
    const charles = await baresips.start('1004', CHARLES_HZ, { transport: 'tcp', answer: 'manual' });
    await ada.dial('1004');
    await charles.event('CALL_INCOMING');
    await charles.hangUp();
    expect((await ada.event('CALL_CLOSED')).param).toMatch(/^(486|603)/);

    const [atAda, atCharles] = [ada.events.next, charles.events.next];
    await ada.dial('1004');
    await charles.event('CALL_INCOMING', { from: atCharles });
    await ada.event('CALL_RINGING', { from: atAda });
    await ada.hangUp();
    await charles.event('CALL_CLOSED', { from: atCharles });
  });

  it('SRTP of baresip on one leg, AES-256 GCM of a phone of ours on the other', async () => {
    const ada = await baresips.start('1003', ADA_HZ, { transport: 'tls', mediaEncryption: 'srtp-mand' });
    const grace = await crowd.phone('1002', {
      transport: 'wss',
      srtp: ['AEAD_AES_256_GCM'],
      media: { toneHz: CHARLES_HZ },
    });
    await ada.dial('1002');
    const call = await grace.incoming();
    await call.acknowledged();
    await Promise.all([ada.hears(CHARLES_HZ), audioOf(call).heard({ packets: 50, withinMs: 10_000 })]);
    expect(audioOf(call).stats()).toMatchObject({
      protection: 'AEAD_AES_256_GCM',
      toneHz: ADA_HZ,
      authFailures: 0,
      indexReused: 0,
    });
    await call.bye();
    await ada.event('CALL_CLOSED');
  });

  it('a zone dies under TLS and SRTP: both talk on and are told nothing, and the twin ends the call', async () => {
    const secure = { transport: 'tls', mediaEncryption: 'srtp-mand' } as const;
    const ada = await baresips.start('2001', ADA_HZ, secure);
    const charles = await baresips.start('2002', CHARLES_HZ, secure);
    await callAndTalk(ada, charles);
    const talking = async () => {
      const { calls } = await twinline.twinline<Calls>('calls');
      return calls.filter(({ state }) => state === 'talking');
    };
    const [before] = await talking();
    const [toAda, toCharles] = [ada.mark, charles.mark];
    const [atAda, atCharles] = [ada.events.next, charles.events.next];

    await twinline.twinline('kill', 'zone', before!.zone);
    await hearEachOther(ada, charles);
    const [after] = await talking();
    expect(after?.id).toBe(before!.id);
    expect(after?.zone).not.toBe(before!.zone);
    for (const [phone, mark, at] of [
      [ada, toAda, atAda],
      [charles, toCharles, atCharles],
    ] as const) {
      for (const method of ['INVITE', 'UPDATE', 'BYE', 'REGISTER'])
        expect(phone.requests(method, mark), method).toBe(0);
      // But for the reports of its ears that it tells of each time.
      const heardOf = phone.events.items.slice(at).map(({ type }) => type);
      expect(heardOf.filter((type) => type !== 'CALL_RTCP')).toEqual([]);
    }

    await charles.hold();
    await ada.said(/a=(sendonly|inactive)/, { from: toAda });
    await charles.resume();
    await receiveFromEachOther(ada, charles);
    await ada.hangUp();
    await charles.event('CALL_CLOSED', { from: atCharles });
    await twinline.twinline('start', 'zone', before!.zone);
  });
});
