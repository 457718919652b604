import { mkdirSync, mkdtempSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { hasFfmpeg, soundFile } from '../../test/support/sound-files.ts';
import { ok, seededRandom, VirtualClock } from '../base/index.ts';
import { assetFolder, assetFolders } from './asset-folder.ts';
import { createAssets } from './assets.ts';
import { availableCodecs } from './codecs.ts';
import { decodeFile } from './decode-file.ts';
import { openDecodeThread } from './decode-thread.ts';
import { createDtmfDetector } from './dtmf-detector.ts';
import { levelDbov } from './mix.ts';
import type { SampleRateHz } from './pcm.ts';
import { openPlayback } from './playback.ts';
import { openSounds } from './sounds.ts';

const folder = mkdtempSync(join(tmpdir(), 'sounds-'));
afterAll(() => rmSync(folder, { recursive: true }));

const decoded = async (bytes: Uint8Array, rateHz: SampleRateHz = 16_000, mostSeconds = 60) =>
  decodeFile({ name: 'hello', bytes }, rateHz, mostSeconds);

const problemOf = async (bytes: Uint8Array): Promise<string> => {
  const result = await decoded(bytes);
  return result.ok ? 'none' : result.error.message;
};

/** How much of the level is the 440 Hz that the file holds. */
function purity(pcm: Int16Array, rateHz: number): number {
  const middle = pcm.subarray(rateHz / 2, rateHz + rateHz / 2);
  let re = 0;
  let im = 0;
  for (let i = 0; i < middle.length; i++) {
    re += (middle[i] as number) * Math.cos((2 * Math.PI * 440 * i) / rateHz);
    im += (middle[i] as number) * Math.sin((2 * Math.PI * 440 * i) / rateHz);
  }
  const power = 2 * ((re / middle.length) ** 2 + (im / middle.length) ** 2);
  return power / 32_768 ** 2 / 10 ** (levelDbov(middle) / 10);
}

const wav = (more: string[]) => ({ format: 'wav', more });
const STEREO = ['-af', 'pan=stereo|c0=c0|c1=c0'];
const FILES = {
  'WAV of 8 bits': wav(['-c:a', 'pcm_u8']),
  'WAV of 16 bits, stereo, 48 kHz': wav(['-c:a', 'pcm_s16le', ...STEREO, '-ar', '48000']),
  'WAV of 24 bits, 6 channels (extensible)': wav([
    '-c:a',
    'pcm_s24le',
    '-af',
    'pan=5.1|c0=c0|c1=c0|c2=c0|c3=c0|c4=c0|c5=c0',
  ]),
  'WAV of 32 bits, 96 kHz': wav(['-c:a', 'pcm_s32le', '-ar', '96000']),
  'WAV of float': wav(['-c:a', 'pcm_f32le', '-ar', '22050']),
  'WAV of double': wav(['-c:a', 'pcm_f64le']),
  'WAV of A-law': wav(['-c:a', 'pcm_alaw', '-ar', '8000']),
  'WAV of µ-law': wav(['-c:a', 'pcm_mulaw', '-ar', '11025']),
  'MP3, constant rate': { format: 'mp3', more: ['-b:a', '64k'] },
  'MP3, variable rate, stereo, tags': {
    format: 'mp3',
    more: ['-q:a', '4', ...STEREO, '-metadata', 'title=Hello', '-write_id3v1', '1'],
  },
  'MP3 of MPEG 2.5, 8 kHz': { format: 'mp3', more: ['-ar', '8000', '-b:a', '16k'] },
  'Ogg Opus': { format: 'ogg', more: ['-c:a', 'libopus', '-b:a', '48k'] },
  'Ogg Opus, stereo, frames of 60 ms': {
    format: 'ogg',
    more: ['-c:a', 'libopus', ...STEREO, '-frame_duration', '60', '-page_duration', '200000'],
  },
} as const;

describe.skipIf(!hasFfmpeg)('files of ffmpeg', () => {
  test.each(Object.entries(FILES))('%s', async (name, { format, more }) => {
    if (name.includes('Opus') && !availableCodecs().includes('opus')) return;
    const bytes = soundFile(format, more);
    for (const rateHz of [8000, 16_000, 48_000] as const) {
      const result = await decoded(bytes, rateHz);
      if (!result.ok) throw new Error(result.error.message);
      const pcm = result.value;
      // An encoder's delay and its end are taken off where the file says them: MP3 at 8 kHz does not.
      expect(Math.abs(pcm.length / rateHz - 2)).toBeLessThan(name.includes('2.5') ? 0.17 : 0.002);
      expect(purity(pcm, rateHz)).toBeGreaterThan(
        name.includes('8 bits') || name.includes('law') ? 0.99 : 0.999,
      );
      expect(Math.abs(levelDbov(pcm) + 21.1)).toBeLessThan(0.7);
    }
  });

  test('whatever is broken in a file, it says so or plays what is left, and never fails otherwise', async () => {
    const random = seededRandom(3);
    for (const { format, more } of [FILES['WAV of 8 bits'], FILES['MP3, constant rate'], FILES['Ogg Opus']]) {
      const whole = soundFile(format, more, 0.3);
      for (let n = 0; n < 40; n++) {
        const [a = 0, b = 0, c = 0] = random.bytes(3);
        const broken = Uint8Array.from(
          whole.subarray(0, n % 2 === 0 ? whole.length : (whole.length * a) >> 8),
        );
        for (let i = 0; i < 1 + (b & 3); i++)
          broken[(c * 131 + i * 977 + n) % (n % 3 === 0 ? 64 : broken.length)] = a + i;
        const result = await decoded(broken);
        if (!result.ok) expect(result.error.message).toMatch(/^hello: /);
      }
    }
  });

  test('an Ogg page that was damaged is told by its checksum', async () => {
    const bytes = Uint8Array.from(soundFile('ogg', ['-c:a', 'libopus']));
    bytes[bytes.length - 10]! ^= 1;
    expect(await problemOf(bytes)).toMatch(/^hello: at octet \d+: expected the checksum of the page, found/);
  });

  test('a file that is too long is refused', async () => {
    for (const { format, more } of Object.values(FILES)) {
      const result = await decoded(soundFile(format, more), 8000, 1);
      expect(result).toEqual({
        ok: false,
        error: { code: 'asset_too_large', message: expect.stringMatching(/^hello: longer than 1 s/) },
      });
    }
  });
});

/** A WAV of ours, of 16 bits and one channel. */
function ownWav(samples: Int16Array, rateHz = 16_000): Uint8Array {
  const bytes = new Uint8Array(44 + samples.byteLength);
  const view = new DataView(bytes.buffer);
  bytes.set(new TextEncoder().encode('RIFF\0\0\0\0WAVEfmt '));
  view.setUint32(4, bytes.length - 8, true);
  view.setUint32(16, 16, true);
  view.setUint16(20, 1, true);
  view.setUint16(22, 1, true);
  view.setUint32(24, rateHz, true);
  view.setUint32(28, 2 * rateHz, true);
  view.setUint16(32, 2, true);
  view.setUint16(34, 16, true);
  bytes.set(new TextEncoder().encode('data'), 36);
  view.setUint32(40, samples.byteLength, true);
  bytes.set(new Uint8Array(samples.buffer, samples.byteOffset, samples.byteLength), 44);
  return bytes;
}

const ramp = Int16Array.from({ length: 1600 }, (_, i) => i * 10);
const changed = (at: number, ...octets: number[]): Uint8Array => {
  const bytes = ownWav(ramp);
  bytes.set(octets, at);
  return bytes;
};

test.each([
  ['nothing at all', new Uint8Array(), 'at octet 0: expected "RIFF" (WAV)'],
  [
    'text',
    new TextEncoder().encode('hello world'),
    'at octet 0: expected "RIFF" (WAV), "OggS" (Ogg Opus), "ID3" or a frame of MPEG audio (MP3), found "hell" (68 65 6c 6c)',
  ],
  ['no WAVE', changed(8, 65), 'at octet 8: expected "WAVE", found "AAVE"'],
  ['an unknown format', changed(20, 2), 'at octet 20: expected a format that is known'],
  ['no channel', changed(22, 0), 'at octet 22: expected 1 to 8 channels'],
  ['no rate', changed(24, 1, 0), 'at octet 24: expected a rate from 1,000 to 192,000 Hz'],
  ['odd blocks', changed(32, 3), 'at octet 32: expected blocks of 2 octets'],
  [
    'no data',
    ownWav(ramp).subarray(0, 36),
    'at octet 36: expected a chunk "data", found the end of the file',
  ],
  [
    'half of its data',
    ownWav(ramp).subarray(0, 1000),
    'at octet 1000: expected 3200 octets of data from octet 44 on, found the end of the file',
  ],
  [
    'data without format',
    changed(12, 100, 97, 116, 97),
    'at octet 12: expected a chunk "fmt " before the data',
  ],
  [
    'half a frame of MP3',
    Uint8Array.of(0xff, 0xfb, 0x90, 0x00, 1, 2, 3),
    'at octet 0: expected a whole frame of MPEG audio',
  ],
  [
    'an Ogg of something else',
    new TextEncoder().encode('OggS\0\x02'),
    'at octet 6: expected the rest of a page header',
  ],
])('a file with %s is refused by its octet', async (_, bytes, sentence) => {
  expect(await problemOf(bytes)).toContain(`hello: ${sentence}`);
});

test('a WAV from a pipe, whose length nobody knew, is read to its end', async () => {
  const bytes = changed(40, 0, 0xf0, 0xff, 0x7f);
  const result = await decoded(bytes);
  expect(result.ok && result.value.length).toBe(1600);
});

test('a name leads to no file outside of the folder', async () => {
  mkdirSync(join(folder, 'assets', 'menus'), { recursive: true });
  writeFileSync(join(folder, 'secret.wav'), ownWav(ramp));
  writeFileSync(join(folder, 'assets', 'menus', 'welcome.wav'), ownWav(ramp));
  symlinkSync(join(folder, 'secret.wav'), join(folder, 'assets', 'link.wav'));
  symlinkSync('welcome.wav', join(folder, 'assets', 'menus', 'inside.wav'));
  const store = assetFolder(join(folder, 'assets'));
  for (const name of [
    '../secret.wav',
    'menus/../../secret.wav',
    join(folder, 'secret.wav'),
    '',
    '.',
    'a\0b',
    'a\\b',
    'menus//x',
    'x'.repeat(300),
    'link.wav',
  ]) {
    const result = await store.read(name, 1e6);
    expect(result, name).toEqual({ ok: false, error: expect.objectContaining({ code: 'asset_refused' }) });
  }
  for (const name of ['missing.wav', 'menus'])
    expect(await store.read(name, 1e6)).toEqual({
      ok: false,
      error: expect.objectContaining({ code: 'asset_missing' }),
    });
  for (const name of ['menus/welcome.wav', 'menus/inside.wav'])
    expect((await store.read(name, 1e6)).ok).toBe(true);
  expect(await store.read('menus/welcome.wav', 100)).toEqual({
    ok: false,
    error: { code: 'asset_too_large', message: 'menus/welcome.wav: 3244 octets, and at most 100 are read' },
  });
});

test('of several folders the first that has the name gives the file; what leads out of one is looked for in no other', async () => {
  const [first, second] = ['first', 'second'].map((name) => mkdtempSync(join(folder, `${name}-`)));
  writeFileSync(join(second!, 'tune.wav'), 'theirs');
  writeFileSync(join(second!, 'outside.wav'), 'theirs');
  const store = assetFolders([join(folder, 'not-there'), first!, second!]);
  const text = async (name: string): Promise<string> => {
    const read = await store.read(name, 100);
    return read.ok ? Buffer.from((read.value as { bytes: Uint8Array }).bytes).toString() : read.error.code;
  };
  expect(await text('tune.wav')).toBe('theirs');
  writeFileSync(join(first!, 'tune.wav'), 'ours');
  expect(await text('tune.wav')).toBe('ours');
  expect(await text('none.wav')).toBe('asset_missing');
  symlinkSync(join(folder, 'elsewhere.wav'), join(first!, 'outside.wav'));
  writeFileSync(join(folder, 'elsewhere.wav'), 'secret');
  expect(await text('outside.wav')).toBe('asset_refused');
});

test('an asset is decoded once for all who wait, kept within the bound, and read anew when the file has changed', async () => {
  const root = mkdtempSync(join(folder, 'cache-'));
  let decodings = 0;
  const assets = createAssets({
    store: assetFolder(root),
    decode: (...all) => {
      decodings++;
      return decodeFile(...all);
    },
    cacheBytes: 2 * 3200 + 100,
  });
  for (const name of ['a', 'b', 'c']) writeFileSync(join(root, name), ownWav(ramp));
  const [first, second] = await Promise.all([assets.load('a', 16_000), assets.load('a', 16_000)]);
  expect(first).toEqual(ok(ramp.map((sample) => Math.round((sample / 32_768) * 32_767))));
  expect(second).toBe(first);
  await assets.load('a', 16_000);
  expect(decodings).toBe(1);
  await assets.load('b', 16_000);
  await assets.load('a', 16_000);
  await assets.load('c', 16_000);
  expect(assets.usedBytes).toBe(6400);
  expect(decodings).toBe(3);
  await assets.load('a', 16_000);
  expect(decodings).toBe(3);
  await assets.load('b', 16_000);
  expect(decodings).toBe(4);
  writeFileSync(join(root, 'b'), ownWav(ramp.subarray(0, 800)));
  utimesSync(join(root, 'b'), 1, 1);
  const shorter = await assets.load('b', 16_000);
  expect(shorter.ok && shorter.value.length).toBe(800);
  const large = await assets.load('b', 48_000);
  expect(large.ok).toBe(true);
  writeFileSync(join(root, 'd'), ownWav(new Int16Array(4000)));
  expect(await assets.load('d', 16_000)).toEqual({
    ok: false,
    error: expect.objectContaining({ code: 'asset_too_large' }),
  });
});

// The thread's code is TypeScript here; in the product it is built.
const loader = new URL('../../test/support/typescript-loader.mjs', import.meta.url).href;
const execArgv = [
  '--import',
  `data:text/javascript,import { register } from "node:module"; register(${JSON.stringify(loader)});`,
];

test('a thread decodes one file after another; one that is broken or takes too long harms no other', async () => {
  const clock = new VirtualClock();
  const thread = openDecodeThread({ clock, deadlineMs: 1000, execArgv });
  const decode = (name: string, bytes: Uint8Array, rateHz = 16_000) =>
    thread.decode({ name, bytes }, rateHz as SampleRateHz, 60);
  const slow = decode('slow', ownWav(ramp));
  const others = [
    decode('one', ownWav(ramp)),
    decode('two', new Uint8Array(100)),
    decode('three', ownWav(ramp, 44_100), 8000),
  ];
  // The thread has not even begun.
  clock.advance(1000);
  expect(await slow).toEqual({
    ok: false,
    error: { code: 'asset_bad', message: 'slow: not decoded after 1000 ms' },
  });
  const lengths = (await Promise.all(others)).map((result) =>
    result.ok ? result.value.length : result.error.message.slice(0, 4),
  );
  expect(lengths).toEqual([1600, 'two:', 290]);
  thread.close();
  expect((await decode('four', ownWav(ramp))).ok).toBe(false);
}, 240_000);

test('a playback of a file, keys and a spoken text is ready together, and heard in its order', async () => {
  const root = mkdtempSync(join(folder, 'sounds-'));
  writeFileSync(join(root, 'ramp.wav'), ownWav(ramp));
  const sounds = openSounds({
    clock: new VirtualClock(),
    folders: [root],
    decode: decodeFile,
    speech: { speak: async (text) => ok({ name: text, bytes: ownWav(new Int16Array(3200).fill(1000)) }) },
  });
  const items = [{ asset: 'ramp.wav' }, { digits: '42#' }, { speech: 'hello' }];
  const opened = await openPlayback({ items, times: 1 }, 16_000, sounds);
  if (!opened.ok) throw new Error(opened.error.message);
  const { value: player } = opened;
  expect(player.durationMs).toBe(100 + 3 * 200 + 200);
  const detector = createDtmfDetector(16_000);
  const out = new Int16Array(320);
  let digits = '';
  for (let ms = 0; player.read(ms, out); ms += 20) {
    digits += detector.detect(out)?.digit ?? '';
    if (ms === 0) expect(out[100]).toBe(1000);
    if (ms === 800) expect(out[0]).toBe(1000);
  }
  expect(digits).toBe('42#');
  const missing = await openPlayback({ items: [{ asset: '../ramp.wav' }], times: 1 }, 16_000, sounds);
  expect(!missing.ok && missing.error.code).toBe('asset_refused');
  sounds.close();
});
