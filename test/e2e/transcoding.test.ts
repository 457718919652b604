import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { hasG722, hasOpus } from '../../src/native/index.ts';
import { Baresip } from '../support/baresip.ts';
import { Baresips } from '../support/baresips.ts';
import { callRecords } from '../support/call-records.ts';
import { Installation } from '../support/installation.ts';

const ADA_HZ = 500;
const CHARLES_HZ = 1_100;

/** Each phone has one codec alone: what they hear of each other went through media's decoder and encoder (PH-CALL-25). */
describe.skipIf(Baresip.program === undefined || !hasOpus() || !hasG722())(
  'baresip without a codec in common',
  () => {
    let twinline: Installation;
    beforeAll(async () => {
      twinline = await Installation.start();
    });
    afterAll(() => twinline?.stop());
    const baresips = new Baresips(() => twinline);
    afterEach(() => baresips.leave());

    it.each([
      ['opus', 'pcmu'],
      ['pcma', 'opus'],
      ['g722', 'pcma'],
      ['opus', 'g722'],
    ] as const)('%s calls %s: both hear the other one’s tone', async (callersCodec, calleesCodec) => {
      const ada = await baresips.start('1001', ADA_HZ, { codec: callersCodec });
      const charles = await baresips.start('1002', CHARLES_HZ, { codec: calleesCodec });
      const [atAda, atCharles] = [ada.events.next, charles.events.next];
      await ada.dial('1002');
      await Promise.all([
        ada.event('CALL_ESTABLISHED', { from: atAda }),
        charles.event('CALL_ESTABLISHED', { from: atCharles }),
      ]);
      await Promise.all([ada.hears(CHARLES_HZ), charles.hears(ADA_HZ)]);
      await ada.hangUp();
      await charles.event('CALL_CLOSED', { from: atCharles });
      await expect
        .poll(
          () =>
            callRecords(twinline)
              .at(-1)
              ?.legs.map(({ codec }) => codec),
          { timeout: 10_000 },
        )
        .toEqual([callersCodec, calleesCodec]);
    });

    it('the record tells how that sounded: MOS, loss, jitter and round trip of both legs, by our RTCP and theirs (PH-QOS-01, 02)', async () => {
      const known = callRecords(twinline).length;
      const ada = await baresips.start('1001', ADA_HZ, { codec: 'opus' });
      const charles = await baresips.start('1002', CHARLES_HZ, { codec: 'pcmu' });
      const [atAda, atCharles] = [ada.events.next, charles.events.next];
      await ada.dial('1002');
      await Promise.all([
        ada.event('CALL_ESTABLISHED', { from: atAda }),
        charles.event('CALL_ESTABLISHED', { from: atCharles }),
      ]);
      // Its own report leaves every five seconds: between the first of ours and the third there is one that quotes ours.
      await Promise.all([reports(ada, atAda, 3), reports(charles, atCharles, 3)]);
      await ada.hangUp();
      await charles.event('CALL_CLOSED', { from: atCharles });
      await expect.poll(() => callRecords(twinline).length, { timeout: 10_000 }).toBe(known + 1);
      const record = callRecords(twinline).at(-1)!;
      expect(record).toMatchObject({
        outcome: 'answered',
        quality: { rating: 'good', lessReliable: true },
      });
      for (const { media, quality, codec, unheardForMs } of record.legs) {
        expect(quality!.mos, codec).toBeGreaterThan(3.5);
        expect(media!.roundTripMs!.average, codec).toBeGreaterThanOrEqual(0);
        expect(media!.roundTripMs!.average, codec).toBeLessThan(1000);
        expect(media!.heard!.reports, codec).toBeGreaterThan(0);
        expect(media!.received!.lost.average, codec).toBeLessThan(0.05);
        expect(media!.playOut, codec).toBeDefined();
        expect(unheardForMs).toBeUndefined();
      }
      // PH-QOS-05: PCMU with its headers.
      expect(record.legs[1]!.media!.received!.bitsPerSecond).toBeGreaterThan(70_000);
      expect(record.legs[1]!.media!.received!.bitsPerSecond).toBeLessThan(90_000);
    });
  },
);

/** RTCP has come to the phone so often. */
async function reports(phone: Baresip, from: number, count: number): Promise<void> {
  let at = from;
  for (let i = 0; i < count; i++) {
    await phone.event('CALL_RTCP', { from: at, withinMs: 20_000 });
    at = phone.events.next;
  }
}
