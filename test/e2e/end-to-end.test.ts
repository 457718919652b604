import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { createDecoder } from '../../src/audio/index.ts';
import { callRecords } from '../support/call-records.ts';
import { type BrowserPhone, type BrowserPhoneOptions, Chromium } from '../support/chromium.ts';
import { Installation } from '../support/installation.ts';
import { toneOf } from '../support/tone.ts';

interface Calls {
  readonly calls: readonly { readonly id: string; readonly state: string; readonly zone: string }[];
}

const ADA_HZ = 400;
const GRACE_HZ = 1_500;
/** Of payloads kept by a page: a second. */
const ENOUGH = 50;

describe.skipIf(Chromium.program === undefined)('two browsers that encrypt end to end', () => {
  let twinline: Installation;
  const chromiums: Chromium[] = [];
  beforeAll(async () => {
    twinline = await Installation.start();
    for (let each = 0; each < 2; each++) chromiums.push(await Chromium.start());
  }, 120_000);
  afterAll(async () => {
    for (const chromium of chromiums) await chromium.stop();
    await twinline?.stop();
  });
  afterEach(async () => {
    for (const chromium of chromiums) await chromium.clear();
  });

  const server = (): string => `ws://127.0.0.1:${twinline.port('ws')}`;
  const browser = (
    user: string,
    toneHz: number,
    options: Partial<BrowserPhoneOptions> = {},
  ): Promise<BrowserPhone> =>
    chromiums[user === '1001' ? 0 : 1]!.phone({
      user,
      toneHz,
      server: server(),
      encrypts: 'later',
      ...options,
    });

  const hearEachOther = (ada: BrowserPhone, grace: BrowserPhone) =>
    Promise.all([ada.hears(GRACE_HZ), grace.hears(ADA_HZ)]);

  async function talk(ada: BrowserPhone, grace: BrowserPhone): Promise<void> {
    await ada.call('1003');
    await ada.event('session', { state: 'Established' });
    await hearEachOther(ada, grace);
  }

  const talking = async () => {
    const { calls } = await twinline.twinline<Calls>('calls');
    return calls.filter(({ state }) => state === 'talking');
  };

  /** What stands between the browsers hears: the tone in payloads as they came, decoded as Opus. */
  async function toneIn(payloads: readonly Buffer[]): Promise<number | undefined> {
    const decoder = createDecoder({ name: 'opus', clockRateHz: 48_000, channels: 2 })!;
    const samples: number[] = [];
    for (const payload of payloads.slice(5, ENOUGH)) {
      const pcm = decoder.decode(payload, 0, payload.length);
      for (let at = 0; at < pcm.length; at += 6) samples.push(pcm[at]!);
    }
    decoder.release();
    return toneOf(samples);
  }

  /** A second of payloads from one to the other, each as it left and as it came. */
  async function passing(from: BrowserPhone, to: BrowserPhone) {
    await from.payloads(true);
    await to.payloads(true);
    await expect
      .poll(async () => (await to.payloads()).received.length, { timeout: 20_000 })
      .toBeGreaterThan(ENOUGH);
    const [{ sent }, { received, failed }] = [await from.payloads(), await to.payloads()];
    return { sent, received: received.slice(0, ENOUGH), failed };
  }

  /** Resolves with the short code that both show from now on. */
  async function bothOn(ada: BrowserPhone, grace: BrowserPhone, from: readonly number[] = [0, 0]) {
    const [atAda, atGrace] = await Promise.all(
      [ada, grace].map((phone, at) => phone.event('encryption', { from: from[at]!, state: 'on' })),
    );
    expect(atAda!.text).toMatch(/^\d{6}$/);
    expect(atGrace!.text).toBe(atAda!.text);
  }

  it('switch it on in the call, show one short code, hear each other, and leave it', async () => {
    const ada = await browser('1001', ADA_HZ);
    const grace = await browser('1003', GRACE_HZ);
    await talk(ada, grace);
    // Whoever stands between hears what is not encrypted.
    expect(await toneIn((await passing(ada, grace)).received)).toBe(ADA_HZ);

    const before = [ada, grace].map(({ events }) => events.next);
    expect(await ada.encrypt(true)).toMatchObject({ status: 200 });
    await bothOn(ada, grace, before);
    await hearEachOther(ada, grace);
    await expectOpaque(ada, grace);
    // Without the key a browser makes out nothing either.
    await grace.decrypts(false);
    await grace.hearsNothing();
    await grace.decrypts(true);
    await grace.hears(ADA_HZ);

    const told = [ada, grace].map(({ events }) => events.next);
    expect(await grace.encrypt(false)).toMatchObject({ status: 200 });
    const { body } = await ada.event('reinvite', { from: told[0]! });
    expect(body).not.toContain('a=sframe');
    await Promise.all(
      [ada, grace].map((phone, at) => phone.event('encryption', { from: told[at]!, state: 'off' })),
    );
    await hearEachOther(ada, grace);
    await ada.hangUp();
    await grace.event('session', { state: 'Terminated' });
  }, 120_000);

  /** TR-MEDIA-13: payload passes byte by byte, and is no Opus that anybody between could play. */
  async function expectOpaque(from: BrowserPhone, to: BrowserPhone): Promise<void> {
    const { sent, received, failed } = await passing(from, to);
    const left = new Set(sent.map((payload) => payload.toString('base64')));
    const known = received.filter((payload) => left.has(payload.toString('base64')));
    // The first few left before the count began.
    expect(known.length).toBeGreaterThanOrEqual(received.length - 10);
    expect(await toneIn(received)).not.toBe(from.options.toneHz);
    expect(failed).toBe(0);
  }

  it('ask for it with the first INVITE; the record says so', async () => {
    const ada = await browser('1001', ADA_HZ, { encrypts: 'on' });
    const grace = await browser('1003', GRACE_HZ);
    await talk(ada, grace);
    await bothOn(ada, grace);
    await expectOpaque(ada, grace);
    await grace.hangUp();
    await ada.event('session', { state: 'Terminated' });
    await expect
      .poll(() => callRecords(twinline).at(-1)?.legs, { timeout: 10_000 })
      .toMatchObject([
        { endToEnd: true, srtp: 'AEAD_AES_256_GCM' },
        { endToEnd: true, srtp: 'AEAD_AES_256_GCM' },
      ]);
  });

  it('are told why not, when the other one cannot; the call goes on', async () => {
    const ada = await browser('1001', ADA_HZ);
    const grace = await chromiums[1]!.phone({ user: '1003', toneHz: GRACE_HZ, server: server() });
    await talk(ada, grace);
    expect(await ada.encrypt(true)).toMatchObject({
      status: 488,
      warning: expect.stringContaining("e2ee_client: the other end's client has no end-to-end encryption"),
    });
    await hearEachOther(ada, grace);
    await ada.hangUp();
  });

  // The last one: the zone stays down.
  it('hear each other through the death of a zone', async () => {
    const ada = await browser('1001', ADA_HZ, { encrypts: 'on' });
    const grace = await browser('1003', GRACE_HZ);
    await talk(ada, grace);
    await bothOn(ada, grace);
    const [before] = await talking();
    await twinline.twinline('kill', 'zone', before!.zone);
    await hearEachOther(ada, grace);
    await expectOpaque(ada, grace);
    await expectOpaque(grace, ada);
    const [after] = await talking();
    expect(after).toMatchObject({ id: before!.id });
    expect(after!.zone).not.toBe(before!.zone);
    await ada.hangUp();
    await grace.event('session', { state: 'Terminated' });
  }, 120_000);
});
