import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { Baresip, toneFile } from '../support/baresip.ts';
import { Baresips } from '../support/baresips.ts';
import { Chromium } from '../support/chromium.ts';
import { Installation, ROOT } from '../support/installation.ts';
import type { Phone } from '../support/phone.ts';
import type { PhoneMediaStats } from '../support/phone-media-types.ts';
import { audioOf, callAndTalk, hearEachOther, registeredPhone, type Talk } from '../support/talk.ts';

const MUSIC_HZ = 700;
const CHARLES_HZ = 1_100;
const ADA = { media: { toneHz: 500 } } as const;
const GRACE = { media: { toneHz: 900 } } as const;
const TONE_SECONDS = 3;
/** Of which a phone tells the pitch. */
const PACKETS = 15;
const WAIT_MS = 10_000;

interface Calls {
  readonly calls: readonly { readonly id: string; readonly state: string; readonly zone: string }[];
}

/** The head office's music is one tone, so that it can be told from everything else; the workshop has what comes along. */
describe('music on hold (PH-CALL-05)', () => {
  let twinline: Installation;
  let directory: string;
  const phones: Phone[] = [];
  const baresips = new Baresips(() => twinline);
  beforeAll(async () => {
    directory = mkdtempSync(path.join(tmpdir(), 'twinline-hold-'));
    const [config, data] = [path.join(directory, 'config'), path.join(directory, 'data')];
    cpSync(path.join(ROOT, 'config/demo'), config, { recursive: true });
    const account = path.join(config, 'account.yaml');
    const text = readFileSync(account, 'utf8');
    writeFileSync(account, text.replace('name: Head office\n', '$&    hold-music: our/tone.wav\n'));
    mkdirSync(path.join(data, 'assets/our'), { recursive: true, mode: 0o700 });
    writeFileSync(path.join(data, 'assets/our/tone.wav'), toneFile(MUSIC_HZ, TONE_SECONDS));
    twinline = await Installation.start({ config, data });
  });
  afterEach(async () => {
    await baresips.leave();
    await Promise.all(phones.splice(0).map((phone) => phone.close()));
  });
  afterAll(async () => {
    await twinline?.stop();
    rmSync(directory, { recursive: true, force: true });
  });

  const phone = async (user: string, more: Parameters<typeof registeredPhone>[2] = {}): Promise<Phone> => {
    const opened = await registeredPhone(twinline, user, more);
    phones.push(opened);
    return opened;
  };
  const held = async (): Promise<Calls['calls'][number]> => {
    const { calls } = await twinline.twinline<Calls>('calls');
    return calls.find(({ state }) => state === 'held')!;
  };
  /** Goes on hearing packets until this is to be heard in them: a file has to be read before its first time. */
  const hearsIt = async (call: Talk['caller'], it: (heard: PhoneMediaStats) => boolean): Promise<void> => {
    const untilMs = performance.now() + WAIT_MS;
    do await audioOf(call).heard({ packets: PACKETS, withinMs: WAIT_MS });
    while (!it(audioOf(call).stats()) && performance.now() < untilMs);
    expect(audioOf(call).stats()).toSatisfy(it);
  };
  const hears = (call: Talk['caller'], hz: number) => hearsIt(call, ({ toneHz }) => toneHz === hz);

  it('bob is held; the zone dies; the music goes on, and then alice is back', async () => {
    const [ada, grace] = [
      await phone('1001', ADA),
      await phone('1003', { ...GRACE, srtp: ['AEAD_AES_256_GCM'] }),
    ];
    const talk = await callAndTalk(ada, grace);
    await talk.caller.hold();
    await hears(talk.callee, MUSIC_HZ);
    const before = await held();

    await twinline.twinline('kill', 'zone', before.zone);
    await hears(talk.callee, MUSIC_HZ);
    expect((await held()).zone).not.toBe(before.zone);
    expect(audioOf(talk.callee).stats()).toMatchObject({ authFailures: 0, indexReused: 0 });

    await talk.caller.resume();
    await hearEachOther(talk);
    await talk.caller.bye();
    await twinline.twinline('start', 'zone', before.zone);
  });

  it('the site of who holds says which music', async () => {
    const [almon, ada] = [await phone('1009', GRACE), await phone('1001', ADA)];
    const talk = await callAndTalk(almon, ada, '811001');
    await talk.caller.hold();
    // What comes along with us is a tune, not that tone.
    await hearsIt(talk.callee, ({ level, toneHz }) => level > 100 && toneHz !== MUSIC_HZ);
    await talk.caller.resume();
    await talk.callee.hold();
    await hears(talk.caller, MUSIC_HZ);
    await talk.caller.bye();
  });

  it.skipIf(Chromium.program === undefined)('a browser is held, and hears it', async () => {
    const chromium = await Chromium.start();
    try {
      const server = `ws://127.0.0.1:${twinline.port('ws')}`;
      const browser = await chromium.phone({ user: '1002', toneHz: CHARLES_HZ, server });
      const ada = await phone('1001', ADA);
      const call = await ada.call('1002');
      await call.answered();
      await browser.event('session', { state: 'Established' });
      await hears(call, CHARLES_HZ);
      await call.hold();
      await browser.hears(MUSIC_HZ);
      await call.bye();
      await browser.event('session', { state: 'Terminated' });
    } finally {
      await chromium.stop();
    }
  });

  it.skipIf(Baresip.program === undefined)('baresip is held, and gets it', async () => {
    const ada = await phone('1001', ADA);
    const charles = await baresips.start('1002', CHARLES_HZ);
    const at = charles.events.next;
    const call = await ada.call('1002');
    await call.answered();
    await charles.event('CALL_ESTABLISHED', { from: at });
    await hears(call, CHARLES_HZ);
    await call.hold();
    // It hears on and does not write it down any more.
    await charles.receives(2 * PACKETS);
    await call.resume();
    await hears(call, CHARLES_HZ);
    await call.bye();
    await charles.event('CALL_CLOSED', { from: at });
  });
});
