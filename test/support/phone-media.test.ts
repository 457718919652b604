import { afterEach, describe, expect, it } from 'vitest';
import { type SrtpSuite, suiteOrder } from '../../src/sdp/index.ts';
import { openSocket } from './impairer.ts';
import { everyMs } from './pacer.ts';
import { createPhoneMedia, PCMA, PCMU, type PhoneAudio, type PhoneMediaOptions } from './phone-media.ts';
import { strongestTone, writeTone } from './tone.ts';

/** The test phone's audio against itself, so that what it reports about the server can be believed. */
const open: PhoneAudio[] = [];
afterEach(() => {
  for (const phone of open.splice(0)) phone.close();
});

type Options = Omit<PhoneMediaOptions, 'address'>;

async function call(caller: Options, callee: Options): Promise<[alice: PhoneAudio, bob: PhoneAudio]> {
  const [alice, bob] = await Promise.all([
    createPhoneMedia({ address: '127.0.0.1', ...caller }),
    createPhoneMedia({ address: '127.0.0.1', ...callee }),
  ]);
  open.push(alice, bob);
  alice.apply(bob.answer(alice.offer()));
  return [alice, bob];
}

const bothHear = (alice: PhoneAudio, bob: PhoneAudio, packets: number): Promise<unknown> =>
  Promise.all([
    alice.heard({ packets, withinMs: 5000, from: bob.stats().sender }),
    bob.heard({ packets, withinMs: 5000, from: alice.stats().sender }),
  ]);

it('two phones hear each other, by mark and by tone', async () => {
  const [alice, bob] = await call({ toneHz: 450 }, { toneHz: 1200 });
  await bothHear(alice, bob, 20);
  expect(alice.stats()).toMatchObject({
    protection: 'plain',
    codec: 'pcmu',
    direction: 'sendrecv',
    toneHz: 1200,
    lost: 0,
    duplicates: 0,
    authFailures: 0,
    malformed: 0,
    fromElsewhere: 0,
  });
  expect(bob.stats().toneHz).toBe(450);
  expect(Object.keys(bob.stats().heardFrom)).toEqual([String(alice.stats().sender)]);
});

describe.each(suiteOrder('app'))('%s', (suite) => {
  it('hears over the wrap of the sequence number, and both send reports', async () => {
    const secure = { srtp: [suite], startSequence: 65_530, rtcpEveryMs: 100 };
    const [alice, bob] = await call(secure, secure);
    await bothHear(alice, bob, 15);
    for (const phone of [alice, bob]) {
      const stats = phone.stats();
      expect(stats).toMatchObject({
        protection: suite,
        lost: 0,
        authFailures: 0,
        indexReused: 0,
        unprotectable: 0,
      });
      expect(stats.rtcpAuthFailures).toBe(0);
    }
    expect(bob.ear.lastRtcp[0]).toMatchObject({ type: 'sr', ssrc: alice.voice.options.ssrc });
  });
});

it('takes the suite that both can do; a phone without SRTP refuses a demand for it', async () => {
  const app: Options = { srtp: suiteOrder('app') };
  const [, bob] = await call(app, { srtp: ['AES_CM_128_HMAC_SHA1_80'] });
  expect(bob.stats().protection).toBe<SrtpSuite>('AES_CM_128_HMAC_SHA1_80');
  await expect(call(app, {})).rejects.toThrow(/can do nothing of this offer/);
  const [carol] = await call({ ...app, optionalSrtp: true }, {});
  expect(carol.stats().protection).toBe('plain');
});

it('with rtcp-mux, RTP and RTCP share the port', async () => {
  const mux: Options = { rtcpMux: true, rtcpEveryMs: 50 };
  const [alice, bob] = await call(mux, mux);
  await bothHear(alice, bob, 10);
  expect(alice.stats().remote).toMatchObject({ port: bob.stats().port, rtcpPort: bob.stats().port });
  await expect.poll(() => bob.stats().rtcpReceived).toBeGreaterThan(0);
});

it('hold silences both ways of the holder, resume brings the audio back under the same keys', async () => {
  const [alice, bob] = await call({ srtp: ['AEAD_AES_256_GCM'] }, { srtp: ['AEAD_AES_256_GCM'] });
  await bothHear(alice, bob, 5);
  const offered = alice.reoffer({ direction: 'inactive' });
  expect(offered).toContain('a=inactive');
  alice.apply(bob.answer(offered));
  const sent = [alice.stats().packetsSent, bob.stats().packetsSent];
  // Five beats of the same pacer later neither has sent.
  await new Promise<void>((resolve) => {
    let beats = 0;
    const beat = everyMs(20, () => {
      if (++beats < 5) return;
      beat.stop();
      resolve();
    });
  });
  expect([alice.stats().packetsSent, bob.stats().packetsSent]).toEqual(sent);
  alice.hold(false);
  alice.apply(bob.answer(alice.offer()));
  await bothHear(alice, bob, 5);
  expect(alice.stats()).toMatchObject({ authFailures: 0, lost: 0 });
});

it('keys pressed arrive as digits, the talk goes on', async () => {
  const [alice, bob] = await call({}, {});
  alice.press('19#', 60);
  await bob.heard({ packets: 3 * 5 + 5, withinMs: 5000 });
  expect(bob.stats().digits).toBe('19#');
  await bothHear(alice, bob, 3);
});

it('payload types are those of the one who hears', async () => {
  const dynamic = { payloadType: 110, name: 'opus', clockRateHz: 48_000, channels: 2 };
  const [alice, bob] = await call(
    { codecs: [dynamic, PCMA] },
    { codecs: [{ ...dynamic, payloadType: 96 }, PCMU] },
  );
  await bothHear(alice, bob, 5);
  expect([alice.stats().codec, bob.stats().unexpectedPayload]).toEqual(['opus', 0]);
});

it('a bad line shows in the figures', async () => {
  const down = { dropRate: 0.2, duplicateRate: 0.1, delayMs: 10, reorderRate: 0.1, reorderMs: 30 };
  const secure: Options = { srtp: ['AES_256_CM_HMAC_SHA1_80'] };
  const [alice, bob] = await call({ ...secure, network: { seed: 3, down } }, secure);
  await alice.heard({ packets: 60, withinMs: 8000 });
  const stats = alice.stats();
  expect(stats.lost).toBeGreaterThan(3);
  expect(stats.duplicates).toBeGreaterThan(1);
  expect(stats.reordered).toBeGreaterThan(1);
  expect(stats.longestGapMs).toBeGreaterThan(35);
  expect(stats.delayMs!.median).toBeGreaterThan(9);
  expect(stats.indexReused).toBe(0);
  expect(bob.stats().lost).toBe(0);
});

it('a change of the port, as behind a NAT that forgot, is heard from the new one', async () => {
  const [alice, bob] = await call({}, {});
  await bothHear(alice, bob, 3);
  await alice.rebind();
  await bob.heard({ packets: 5, withinMs: 3000 });
  expect(bob.stats().fromElsewhere).toBeGreaterThan(0);
});

it('an index used twice for two different packets is found; a mere repetition and a forgery are not that', async () => {
  const key = { suite: 'AEAD_AES_256_GCM', keySalt: Buffer.alloc(44, 1).toString('base64') } as const;
  const { Ear } = await import('./phone-media-ear.ts');
  const { Voice } = await import('./phone-media-voice.ts');
  const ear = new Ear();
  ear.codecs = [PCMU];
  ear.useKey(key);
  const voiceOf = (toneHz: number) => {
    const voice = new Voice({ sender: 1, ssrc: 5, startSequence: 10, toneHz });
    voice.codecs = [PCMU];
    voice.useKey(key);
    return voice;
  };
  const first = voiceOf(500).nextPacket()!;
  expect(ear.hear(Buffer.from(first), 0)).toBeDefined();
  ear.hear(Buffer.from(first), 20);
  expect([ear.stats.duplicates, ear.stats.indexReused]).toEqual([1, 0]);
  const forged = Buffer.from(first);
  forged[40]! ^= 1;
  ear.hear(forged, 40);
  expect([ear.stats.replays, ear.stats.indexReused]).toEqual([2, 0]);
  ear.hear(voiceOf(900).nextPacket()!, 60);
  expect(ear.stats.indexReused).toBe(1);
});

it('many phones keep their beat of 20 ms', async () => {
  const pairs = await Promise.all(Array.from({ length: 25 }, () => call({}, {})));
  await Promise.all(pairs.map(([alice, bob]) => bothHear(alice, bob, 20)));
  const before = pairs.flat().map((phone) => phone.stats().packetsSent);
  await Promise.all(pairs.map(([alice, bob]) => bothHear(alice, bob, 30)));
  const sent = pairs.flat().map((phone, i) => phone.stats().packetsSent - before[i]!);
  expect(Math.max(...sent) - Math.min(...sent)).toBeLessThanOrEqual(2);
  for (const phone of pairs.flat()) expect(phone.stats().lost).toBe(0);
});

it('silence is told when it lasts too long', async () => {
  const [alice, bob] = await call({}, {});
  bob.stop();
  await expect(alice.heard({ packets: 1000, withinMs: 60 })).rejects.toThrow(
    /heard \d+ of 1000 packets within 60 ms/,
  );
});

it('a stranger without the key is not heard', async () => {
  const [alice] = await call(
    { srtp: ['AEAD_AES_128_GCM'] },
    { srtp: ['AEAD_AES_128_GCM'], autoStart: false },
  );
  const stranger = await openSocket('127.0.0.1');
  const packet = Buffer.alloc(172, 1);
  packet[0] = 0x80;
  await new Promise((resolve) => stranger.send(packet, alice.stats().port, '127.0.0.1', resolve));
  while (alice.stats().authFailures === 0) await new Promise((resolve) => setImmediate(resolve));
  stranger.close();
  expect(alice.stats().packetsReceived).toBe(0);
});

it('tones are told apart in both laws', () => {
  for (const law of ['pcmu', 'pcma'] as const) {
    for (const hz of [400, 450, 1000, 1500, 3000]) {
      const payloads = Array.from({ length: 10 }, (_, i) => {
        const payload = Buffer.alloc(160);
        writeTone(payload, 0, law, hz, i * 160);
        return payload;
      });
      expect(strongestTone(payloads, law)).toBe(hz);
    }
  }
  expect(strongestTone([Buffer.alloc(160, 0xff)], 'pcmu')).toBeUndefined();
});
