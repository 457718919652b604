import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { TemporaryDirectory } from '../peer.ts';
import { hasFfmpeg } from '../sound-files.ts';
import { drawPage, readTiff, writeTiff } from './page.ts';
import { FRAME_SAMPLES, hasFax, openSoundFax, openT38Gateway, openT38Terminal } from './spandsp.ts';

/** Longer than any fax of one page lasts, in frames of 20 ms. */
const MOST_FRAMES = 50 * 120;

/** The machines alone, with nothing of ours between them: what they do there they must do through an installation. */
describe.skipIf(!hasFax || !hasFfmpeg)('a fax machine of spandsp sends a page', () => {
  const page = drawPage(100);
  let folder: TemporaryDirectory;
  let sent: string;
  let received: string;
  beforeEach(() => {
    folder = new TemporaryDirectory('fax');
    sent = writeTiff(page, folder.path);
    received = `${folder.path}/received.tif`;
  });
  afterEach(() => folder.remove());

  async function run(passes: () => void, ends: Promise<unknown>[]): Promise<unknown[]> {
    let done = false;
    const all = Promise.all(ends).finally(() => {
      done = true;
    });
    for (let i = 0; i < MOST_FRAMES && !done; i++) {
      passes();
      await Promise.resolve();
      await Promise.resolve();
    }
    await new Promise((resolve) => setImmediate(resolve));
    return done ? all : Promise.reject(new Error('the fax did not end'));
  }

  it('by sound, without error correction', async () => {
    const errorCorrection = false;
    const alice = openSoundFax({ calls: true, sends: sent, errorCorrection });
    const bob = openSoundFax({ calls: false, receives: received, errorCorrection });
    const frame = new Int16Array(FRAME_SAMPLES);
    const ends = await run(() => {
      alice.says(frame);
      bob.hears(frame);
      bob.says(frame);
      alice.hears(frame);
    }, [alice.ended, bob.ended]);
    expect(ends).toMatchObject([
      { said: 'OK', pages: 1, errorCorrection },
      { said: 'OK', pages: 1, badRows: 0, errorCorrection },
    ]);
    expect(readTiff(received, folder.path)).toEqual(page);
    alice.release();
    bob.release();
  });

  it('from an adapter to a server, by T.38', async () => {
    const toBob: Buffer[] = [];
    const toAlice: Buffer[] = [];
    let [bobs, alices] = [0, 0];
    const alice = openSoundFax({ calls: true, sends: sent, errorCorrection: true });
    const adapter = openT38Gateway(true, (packet) => toBob.push(packet));
    const bob = openT38Terminal({ calls: false, receives: received, errorCorrection: true }, (packet) =>
      toAlice.push(packet),
    );
    const frame = new Int16Array(FRAME_SAMPLES);
    const ends = await run(() => {
      alice.says(frame);
      adapter.hears(frame);
      adapter.says(frame);
      alice.hears(frame);
      bob.passes();
      for (const packet of toBob.splice(0)) bob.packet(packet, bobs++ & 0xffff);
      for (const packet of toAlice.splice(0)) adapter.packet(packet, alices++ & 0xffff);
    }, [alice.ended, bob.ended]);
    expect(ends).toMatchObject([
      { said: 'OK', pages: 1 },
      { said: 'OK', pages: 1, badRows: 0 },
    ]);
    expect(readTiff(received, folder.path)).toEqual(page);
    for (const each of [alice, adapter, bob]) each.release();
  });
});
