import { afterAll, beforeAll, describe, expect, it, type TestContext } from 'vitest';
import { callRecords } from '../support/call-records.ts';
import { faxOf, registeredFax, turnToT38 } from '../support/fax/fax-phone.ts';
import { drawPage, readTiff, writeTiff } from '../support/fax/page.ts';
import { hasFax } from '../support/fax/spandsp.ts';
import { Installation } from '../support/installation.ts';
import { callsIn, type Status } from '../support/many-calls.ts';
import { TemporaryDirectory } from '../support/peer.ts';
import type { Phone, PhoneCall } from '../support/phone.ts';
import { hasFfmpeg } from '../support/sound-files.ts';

/** Packets: the training before a page is 50, a page of ours above 200. */
const WITHIN_THE_PAGE = 100;
const GOES_ON = 50;

type Kind = 'adapter' | 'server' | 'sound';

interface FaxCall {
  readonly phones: readonly Phone[];
  readonly alice: PhoneCall;
  readonly bob: PhoneCall;
  readonly folder: string;
}

/** PH-TRUNK-27 with the fax machines and the T.38 gateway of spandsp, whose pages come and go as files of ffmpeg. */
describe.skipIf(!hasFax || !hasFfmpeg)('alice’s fax machine sends bob’s a page', () => {
  const page = drawPage(500);
  let twinline: Installation;
  beforeAll(async () => {
    twinline = await Installation.start();
  });
  afterAll(() => twinline?.stop());

  /** The callee has answered, with sound. */
  async function answered(
    { onTestFinished }: TestContext,
    [alices, hers]: [string, Kind],
    [bobs, his]: [string, Kind],
    way: { readonly losesOneOf?: number } = {},
  ): Promise<FaxCall> {
    const folder = new TemporaryDirectory('fax');
    onTestFinished(() => folder.remove());
    const sends = writeTiff(page, folder.path);
    const receives = `${folder.path}/received.tif`;
    const errorCorrection = true;
    const phones = await Promise.all([
      registeredFax(twinline, alices, { kind: hers, calls: true, sends, errorCorrection, ...way }),
      registeredFax(twinline, bobs, { kind: his, calls: false, receives, errorCorrection, ...way }),
    ]);
    for (const phone of phones) onTestFinished(() => phone.close());
    const alice = await phones[0]!.call(bobs);
    const bob = await phones[1]!.incoming();
    await alice.answered();
    await bob.acknowledged();
    return { phones, alice, bob, folder: folder.path };
  }

  async function expectArrived({ alice, bob, folder }: FaxCall): Promise<void> {
    const [sent, received] = await Promise.all([faxOf(alice).ended, faxOf(bob).ended]);
    console.log(
      `${sent.said}, ${received.said}, ${sent.bitsPerSecond} bit/s, ${sent.retries} frames sent again; of sound lost: ` +
        `${faxOf(alice).framesLost} and ${faxOf(bob).framesLost} frames of 20 ms`,
    );
    expect(sent).toMatchObject({ said: 'OK', pages: 1, errorCorrection: true });
    expect(received).toMatchObject({ said: 'OK', pages: 1, badRows: 0 });
    await alice.bye();
    await bob.ended();
    const { width, height, points } = readTiff(`${folder}/received.tif`, folder);
    expect([width, height]).toEqual([page.width, page.height]);
    expect(points.equals(page.points)).toBe(true);
  }

  it.concurrent('by sound, where neither knows T.38', async (test) => {
    const call = await answered(test, ['1001', 'sound'], ['1002', 'sound']);
    await expectArrived(call);
    expect(faxOf(call.bob).isT38).toBe(false);
  });

  it.concurrent('by sound after all, where hers refuses T.38', async (test) => {
    const call = await answered(test, ['1003', 'sound'], ['1004', 'adapter']);
    expect((await turnToT38(call.bob)).status).toBe(488);
    await expectArrived(call);
    expect(faxOf(call.bob).isT38).toBe(false);
  });

  it.concurrent('by T.38 on a way that loses packets, as she asks; then it is sound again', async (test) => {
    const call = await answered(test, ['1007', 'server'], ['1008', 'adapter'], { losesOneOf: 12 });
    expect((await turnToT38(call.alice)).status).toBe(200);
    const [alice, bob] = [faxOf(call.alice), faxOf(call.bob)];
    await Promise.all([alice.ended, bob.ended]);
    for (const { received } of [alice, bob]) {
      expect(received.recovered).toBeGreaterThan(0);
      expect(received).toMatchObject({ lost: 0, malformed: 0 });
    }
    alice.wantsT38 = false;
    expect((await call.alice.reinvite()).status).toBe(200);
    expect([alice.isT38, bob.isT38]).toEqual([false, false]);
    const { framesHeard } = bob;
    await bob.until(() => bob.framesHeard > framesHeard + 25);
    await expectArrived(call);
    const record = () => callRecords(twinline).find(({ from }) => from.user === '1007');
    await test.expect.poll(record, { timeout: 10_000 }).toBeDefined();
    for (const { media, silentForMs } of record()!.legs) {
      expect(silentForMs).toBeUndefined();
      // The fax lasts 20 s at least, and is no gap.
      expect(media!.received!.longestGapMs).toBeLessThan(10_000);
    }
  });

  it('by T.38, from an adapter to a server; a zone dies in the middle of the page', async (test) => {
    const call = await answered(test, ['1005', 'adapter'], ['1006', 'server']);
    expect((await turnToT38(call.bob)).status).toBe(200);
    const [alice, bob] = [faxOf(call.alice), faxOf(call.bob)];
    expect([alice.isT38, bob.isT38]).toEqual([true, true]);
    await bob.until(() => bob.imagePackets >= WITHIN_THE_PAGE);
    const seen = call.phones.map((phone) => phone.received.next);
    bob.longestGapMs = 0;
    const zone = callsIn(await twinline.twinline<Status>('status'), 'a') > 0 ? 'a' : 'b';
    await twinline.twinline('kill', 'zone', zone);
    // Still the same page, without a pause of T.30 in between.
    const before = bob.imagePackets;
    await bob.until(() => bob.imagePackets >= before + GOES_ON);
    const { longestGapMs, received } = bob;
    const { retries } = await bob.ended;
    await alice.ended;
    expect(call.phones.map((phone) => phone.received.next)).toEqual(seen);
    console.log(
      `zone ${zone} killed within a page: longest gap ${longestGapMs.toFixed(0)} ms, ` +
        `${received.recovered} packets won back, ${received.lost} lost, ${retries} frames sent again`,
    );
    await expectArrived(call);
    await expect
      .poll(() => callRecords(twinline).map(({ legs }) => legs.map(({ fax }) => fax)), { timeout: 10_000 })
      .toContainEqual(['t38', 't38']);
  });
});
