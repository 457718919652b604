import { expect, test } from 'vitest';
import { failed, ok } from '../base/index.ts';
import { openPlayback, type PlaybackItem, type PlaybackParts, type Player } from './playback.ts';

const ramp = (length: number) => Int16Array.from({ length }, (_, i) => i + 1);
const parts: PlaybackParts = {
  asset: async (name, rateHz) =>
    name === 'ramp'
      ? ok(ramp(rateHz / 100 + 1))
      : failed({ code: 'asset_missing', message: `${name}: there is no such file` }),
  speech: async (text) => ok(ramp(text.length)),
};

const open = async (items: PlaybackItem[], times = 1, gainDb?: number) =>
  openPlayback({ items, times, ...(gainDb !== undefined && { gainDb }) }, 8000, parts);

async function player(items: PlaybackItem[], times = 1, gainDb?: number): Promise<Player> {
  const opened = await open(items, times, gainDb);
  if (!opened.ok) throw new Error(opened.error.message);
  return opened.value;
}

function frames(player: Player, fromMs: number, count: number): Int16Array {
  const out = new Int16Array(160 * count);
  for (let n = 0; n < count; n++) player.read(fromMs + 20 * n, out.subarray(160 * n, 160 * (n + 1)));
  return out;
}

test('items follow each other and a loop goes round without a gap, to the sample', async () => {
  const endless = await player([{ asset: 'ramp' }, { speech: 'hello' }], 0);
  expect(endless.durationMs).toBe(Number.POSITIVE_INFINITY);
  const got = frames(endless, 0, 50);
  const round = [...ramp(81), ...ramp(5)];
  for (let i = 0; i < got.length; i++) expect(got[i]).toBe(round[i % 86]);
});

test('another process that knows the position alone goes on where the first was', async () => {
  const items: PlaybackItem[] = [{ asset: 'ramp' }, { tone: 'ringback', forMs: 1400 }, { digits: '12' }];
  const first = frames(await player(items, 3), 0, 200);
  const second = frames(await player(items, 3), 2000, 100);
  expect(second).toEqual(first.subarray(160 * 100));
});

test('after so many times it is over', async () => {
  const twice = await player([{ silenceMs: 30 }, { asset: 'ramp' }], 2);
  expect(twice.durationMs).toBeCloseTo(80.25);
  const out = new Int16Array(160);
  expect(twice.read(80, out)).toBe(true);
  expect([...out.subarray(0, 3)]).toEqual([80, 81, 0]);
  expect(twice.read(100, out)).toBe(false);
  expect(out.every((sample) => sample === 0)).toBe(true);
  expect((await player([], 0)).read(0, out)).toBe(false);
});

test('gain is applied', async () => {
  const quiet = await player([{ asset: 'ramp' }], 1, -20);
  expect(frames(quiet, 0, 1)[79]).toBe(8);
});

test('what cannot be had fails the whole and says which item', async () => {
  const missing = await open([{ silenceMs: 10 }, { asset: 'welcome.wav' }]);
  expect(missing).toEqual({
    ok: false,
    error: { code: 'asset_missing', message: 'item 2 of 2: welcome.wav: there is no such file' },
  });
  const endless = await open([{ tone: 'dial' }, { asset: 'ramp' }]);
  expect(endless.ok).toBe(false);
  expect((await open([{ asset: 'ramp' }, { tone: 'dial' }])).ok).toBe(true);
  expect((await open([{ tone: 'beep' }, { asset: 'ramp' }])).ok).toBe(true);
});
