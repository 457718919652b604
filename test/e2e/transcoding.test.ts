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
  },
);
