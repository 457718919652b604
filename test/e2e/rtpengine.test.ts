import path from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { SrtpSuite } from '../../src/sdp/index.ts';
import { Crowd } from '../support/crowd.ts';
import { Installation, ROOT } from '../support/installation.ts';
import type { PhoneMediaFactory } from '../support/phone.ts';
import { Rtpengine, RtpengineMedia } from '../support/rtpengine.ts';
import { audioOf } from '../support/talk.ts';

const SUITES: readonly SrtpSuite[] = [
  'AEAD_AES_256_GCM',
  'AEAD_AES_128_GCM',
  'AES_256_CM_HMAC_SHA1_80',
  'AES_CM_128_HMAC_SHA1_80',
];
const HERE_HZ = 600;
const THERE_HZ = 1_300;

describe.skipIf(Rtpengine.program === undefined)("SRTP with rtpengine's own stack", () => {
  let twinline: Installation;
  let engine: Rtpengine;
  beforeAll(async () => {
    [twinline, engine] = await Promise.all([
      Installation.start({ config: path.join(ROOT, 'test/support/configuration/protection') }),
      Rtpengine.start(),
    ]);
  });
  afterAll(async () => {
    await twinline?.stop();
    await engine?.stop();
  });
  const crowd = new Crowd(() => twinline);
  afterEach(() => crowd.leave());

  /** A phone whose media is behind rtpengine. */
  const behind =
    (suite: SrtpSuite): PhoneMediaFactory =>
    async ({ address }) => {
      const media = await RtpengineMedia.open(engine, suite, { address, toneHz: THERE_HZ });
      await media.prepareOffer();
      return media;
    };

  /** Both hear the other's pitch, and nothing that came was forged or unreadable. */
  async function hearEachOther(here: ReturnType<typeof audioOf>, there: RtpengineMedia): Promise<void> {
    await there.applied;
    await Promise.all([
      here.heard({ packets: 30, withinMs: 10_000, from: there.audio.sender >>> 0 }),
      there.audio.heard({ packets: 30, withinMs: 10_000, from: here.sender >>> 0 }),
    ]);
    expect(here.stats().toneHz).toBe(THERE_HZ);
    expect(there.stats().toneHz).toBe(HERE_HZ);
    expect(here.stats()).toMatchObject({ authFailures: 0, indexReused: 0 });
  }

  it.each(SUITES)('it offers %s, Twinline takes it', async (suite) => {
    const ada = await crowd.phone('1001', {
      transport: 'tls',
      phone: { media: behind(suite), offer: [suite] },
    });
    const old = await crowd.phone('1008', { media: { toneHz: HERE_HZ } });
    const caller = await ada.call('1008');
    expect(caller.invite.body).toContain(` ${suite} inline:`);
    const callee = await old.incoming();
    await caller.answered();
    await hearEachOther(audioOf(callee), caller.media as RtpengineMedia);
    await caller.bye();
    await callee.ended();
  });

  it.each(SUITES)('Twinline offers all, it takes %s', async (suite) => {
    const old = await crowd.phone('1007', { media: { toneHz: HERE_HZ } });
    const charles = await crowd.phone('2002', {
      transport: 'tls',
      answer: { mode: 'manual' },
      phone: {
        media: ({ address }) => RtpengineMedia.open(engine, suite, { address, toneHz: THERE_HZ }),
      },
    });
    const caller = await old.call('822002');
    const callee = await charles.incoming();
    const media = callee.media as RtpengineMedia;
    await media.prepareAnswer(callee.invite.body);
    expect(media.answer()).toMatch(new RegExp(`a=crypto:\\d ${suite} inline:`));
    callee.answer();
    await caller.answered();
    await hearEachOther(audioOf(caller), media);
    await callee.bye();
    await caller.ended();
  });
});
