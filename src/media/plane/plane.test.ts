import { afterEach, describe, expect, test } from 'vitest';
import { headerOf } from '../../../test/support/packet-path.ts';
import { AMPLITUDE, hears, PlanePath } from '../../../test/support/plane-path.ts';
import { CODECS } from '../../../test/support/tone-phone.ts';
import { failed, ok, type StreamId } from '../../base/index.ts';
import type { Playback, StreamCodec } from '../protocol.ts';
import { applyState, stateOf } from '../record.ts';
import { prepare } from '../take-over.ts';
import type { TapFrame } from './taps.ts';

const { pcmu, pcma, g722, opus } = CODECS as Record<'pcmu' | 'pcma' | 'g722' | 'opus', StreamCodec>;

let made: PlanePath[] = [];
afterEach(() => {
  for (const each of made) each.end();
  made = [];
});
function planePath(options: ConstructorParameters<typeof PlanePath>[0] = {}): PlanePath {
  const path = new PlanePath(options);
  made.push(path);
  return path;
}

const room = (id = 'r') => ({ room: { id, speaks: true, hears: true } });
const source = (id: string) => ({ source: id as StreamId });

describe('a room', () => {
  test('everybody hears the others, whatever they speak, and nobody himself', () => {
    const path = planePath();
    const tones: [string, StreamCodec, number][] = [
      ['alice', pcmu, 500],
      ['bob', g722, 900],
      ['carol', opus, 1400],
    ];
    for (const [id, codec, hz] of tones) {
      path.put(id, codec, room());
      path.talker(id).hz = hz;
    }
    path.run(60);
    const all = tones.map(([, , hz]) => hz);
    for (const [id, , hz] of tones)
      expect(path.tonesHeard(id, all)).toEqual(all.filter((each) => each !== hz));
  });

  test('of fifty who talk the loudest three are heard, unclipped; all others share one encoder; who only listens is not heard', () => {
    const path = planePath();
    for (let n = 0; n < 50; n++) {
      path.put(`p${n}`, pcmu, n === 49 ? { room: { id: 'r', speaks: false, hears: true } } : room());
      const talker = path.talker(`p${n}`);
      talker.hz = 400 + 50 * n;
      talker.amplitude = n < 3 || n === 49 ? 7000 : 1000;
    }
    path.run(40);
    const tones = Array.from({ length: 50 }, (_, n) => 400 + 50 * n);
    expect(path.tonesHeard('p30', tones)).toEqual([400, 450, 500]);
    expect(path.tonesHeard('p1', tones)).toEqual([400, 500]);
    expect(path.tonesHeard('p49', tones)).toEqual([400, 450, 500]);
    expect(Math.max(...path.talker('p30').heard)).toBeLessThan(32_767);
    expect(path.plane.figures).toMatchObject({ ears: 49, mouths: 50, encoders: 4, rooms: 1 });
  });

  test('who leaves is heard no more, hears nothing any more, and an empty room is gone', () => {
    const path = planePath();
    for (const id of ['alice', 'bob']) path.put(id, pcmu, room());
    path.talker('bob').hz = 900;
    path.run(30);
    expect(path.tonesHeard('alice', [900])).toEqual([900]);
    path.put('bob', pcmu);
    path.run(30);
    expect(path.tonesHeard('alice', [900])).toEqual([]);
    path.put('alice', pcmu);
    expect(path.plane.figures).toMatchObject({ ears: 0, mouths: 0, encoders: 0, rooms: 0 });
    const before = path.talker('alice').packets.length;
    path.run(10);
    expect(path.talker('alice').packets.length).toBe(before);
  });
});

describe('who hears whom', () => {
  test('a supervisor hears both, whispers to the agent and then barges in', () => {
    const path = planePath();
    const tones = [500, 900, 1400];
    path.put('caller', pcmu, source('agent'));
    path.put('agent', opus, source('caller'));
    path.put('boss', g722, hears('caller', ['agent', -6]));
    for (const [i, id] of ['caller', 'agent', 'boss'].entries()) path.talker(id).hz = tones[i]!;
    path.run(50);
    expect(path.tonesHeard('boss', tones)).toEqual([500, 900]);
    expect(path.tonesHeard('agent', tones)).toEqual([500]);
    path.put('agent', opus, hears('caller', 'boss'));
    path.run(50);
    expect(path.tonesHeard('agent', tones)).toEqual([500, 1400]);
    expect(path.tonesHeard('caller', tones)).toEqual([900]);
    path.put('caller', pcmu, hears('agent', 'boss'));
    path.run(50);
    expect(path.tonesHeard('caller', tones)).toEqual([900, 1400]);
  });

  test('paging: a hundred hear one; it is encoded once for each codec, and passed on where the codec is the same', () => {
    const path = planePath();
    path.put('pager', opus);
    path.talker('pager').hz = 700;
    for (let n = 0; n < 100; n++) path.put(`p${n}`, n < 60 ? pcmu : n < 90 ? pcma : opus, source('pager'));
    path.run(50);
    for (const n of [0, 59, 60, 89, 99]) expect(path.quality(`p${n}`, 700).pure).toBe(1);
    expect(path.plane.figures).toMatchObject({ ears: 1, encoders: 2, mouths: 90 });
  });
});

const playback = (id: string, more: Partial<Playback> = {}): { plays: Playback } => ({
  plays: { id, items: [{ digits: '5', digitMs: 400, pauseMs: 0 }], times: 1, ...more },
});
/** A ramp of 100 ms steps: what is heard tells where it is. */
const steps = {
  asset: async (name: string, rateHz: number) =>
    name === 'none.wav'
      ? failed({ code: 'asset_missing' as const, message: 'none.wav: there is no such file' })
      : ok(Int16Array.from({ length: rateHz * 4 }, (_, i) => 500 * (1 + Math.floor((i * 10) / rateHz)))),
  speech: async () => failed({ code: 'speech_missing' as const, message: 'no voice' }),
};

describe('a playback', () => {
  test('takes the place of what is heard, ends, says so once, and the talk is passed on again', async () => {
    const path = planePath();
    path.put('alice', pcmu, source('bob'));
    path.put('bob', pcmu, source('alice'));
    path.talker('bob').hz = 1100;
    path.run(10);
    path.put('alice', pcmu, { ...source('bob'), ...playback('p1') });
    await path.settle();
    path.run(15);
    expect(path.tonesHeard('alice', [770, 1336, 1100], 200)).toEqual([770, 1336]);
    path.run(40);
    expect(path.tonesHeard('alice', [770, 1336, 1100])).toEqual([1100]);
    expect(path.path.events.filter(({ type }) => type === 'played')).toEqual([
      { type: 'played', stream: 'alice', playback: 'p1', outcome: 'finished' },
    ]);
    const numbers = path.talker('alice').packets.map(({ packet }) => headerOf(packet).sequence);
    expect(numbers).toEqual(numbers.map((_, i) => (numbers[0]! + i) & 0xffff));
  });

  test('mixes over the talk where it shall; another replaces it; one that cannot be played says why', async () => {
    const path = planePath({ parts: steps });
    path.put('bob', pcmu);
    path.talker('bob').hz = 1100;
    path.put('alice', pcmu, { ...source('bob'), ...playback('p1', { times: 0, mixes: true, gainDb: -3 }) });
    await path.settle();
    path.run(40);
    expect(path.tonesHeard('alice', [770, 1336, 1100])).toEqual([770, 1336, 1100]);
    path.put('alice', pcmu, { ...source('bob'), ...playback('p2', { items: [{ asset: 'none.wav' }] }) });
    await path.settle();
    path.run(20);
    expect(path.path.events).toMatchObject([
      { type: 'played', playback: 'p1', outcome: 'replaced' },
      { type: 'played', playback: 'p2', outcome: 'failed', problem: expect.stringContaining('none.wav') },
    ]);
    expect(path.tonesHeard('alice', [1100], 100)).toEqual([1100]);
  });

  test('pauses and goes on where it was; a process that takes over goes on where time is, under indices of its own', async () => {
    const path = planePath({ parts: steps });
    const wav = playback('p', { items: [{ asset: 'steps.wav' }] }).plays;
    path.put('alice', pcmu, { plays: wav });
    await path.settle();
    path.run(26);
    const levelNow = (each: PlanePath) => Math.round(each.talker('alice').heard.at(-80)! / 500);
    expect(levelNow(path)).toBe(6);
    path.put('alice', pcmu, { plays: { ...wav, paused: true } });
    path.run(50);
    expect(levelNow(path)).toBe(0);
    path.put('alice', pcmu, { plays: wav });
    path.run(10);
    expect(levelNow(path)).toBe(8);

    const told = structuredClone(stateOf(path.path.stream('alice')));
    const last = headerOf(path.talker('alice').packets.at(-1)!.packet);
    // Another process, 200 ms later.
    const twin = planePath({ parts: steps, nowMs: path.clock.nowMs() + 200 });
    const stream = twin.put('alice', pcmu);
    Object.defineProperty(stream, 'ssrc', { value: path.path.stream('alice').ssrc });
    applyState(stream, told);
    prepare(stream, twin.path.nowMs);
    twin.put('alice', pcmu, { plays: wav });
    await twin.settle();
    twin.run(2);
    expect(levelNow(twin)).toBe(10);
    const first = headerOf(twin.talker('alice').packets[0]!.packet);
    expect(first.sequence).toBe((last.sequence + 501) & 0xffff);
    expect((first.timestamp - last.timestamp) >>> 0).toBe(
      ((twin.clock.nowMs() - path.clock.nowMs() - 20) / 20) * 160,
    );
  });
});

describe('listening', () => {
  test('keys in the audio are told once, though the phone sends them as events too', () => {
    const path = planePath();
    path.put('alice', pcmu, { detects: { dtmfInAudio: true } });
    const talker = path.talker('alice');
    const key = (low: number, high: number) => (n: number) =>
      4000 * (Math.sin((2 * Math.PI * low * n) / 8000) + Math.sin((2 * Math.PI * high * n) / 8000));
    const silence = () => 0;
    const say = (wave: (n: number) => number, frames: number) => {
      talker.wave = wave;
      path.run(frames);
    };
    say(silence, 20);
    say(key(770, 1336), 6);
    say(silence, 10);
    expect(path.path.events).toMatchObject([{ type: 'dtmf', stream: 'alice', digit: '5' }]);
    // The next one comes in both forms, the event after the sound has begun.
    say(key(852, 1477), 3);
    path.press('alice', 9, 800);
    say(key(852, 1477), 3);
    say(silence, 20);
    path.press('alice', 1, 800);
    const digits = path.path.events.map((event) => event.type === 'dtmf' && event.digit);
    expect(digits).toEqual(['5', '9', '1']);
  });

  test('what is tapped has both directions on one timeline, and its gaps are told', () => {
    const frames: (Omit<TapFrame, 'channels'> & { states: string[]; levels: number[] })[] = [];
    const closed: string[] = [];
    const path = planePath({
      taps: {
        frame: ({ channels, ...frame }) =>
          frames.push({
            ...frame,
            states: channels.map(({ state }) => state),
            levels: channels.map(({ pcm }) => Math.max(...pcm)),
          }),
        closed: (tap) => closed.push(tap),
      },
    });
    path.put('alice', pcmu, { ...source('bob'), taps: [{ id: 't', directions: ['received', 'sent'] }] });
    path.put('bob', pcmu, source('alice'));
    path.talker('alice').hz = 500;
    path.run(40);
    path.talker('bob').hz = 900;
    path.run(40);
    expect(frames.length).toBe(80);
    expect(frames.map(({ tick }) => tick)).toEqual(frames.map((_, i) => frames[0]!.tick + i));
    expect(frames[30]).toMatchObject({
      tap: 't',
      stream: 'alice',
      rateHz: 16_000,
      states: ['heard', 'absent'],
    });
    expect(frames[70]!.states).toEqual(['heard', 'heard']);
    expect(frames[70]!.levels.every((level) => level > AMPLITUDE * 0.9)).toBe(true);
    // Both still hear each other's packets as they are.
    expect(path.plane.figures.encoders).toBe(0);
    path.path.graph.remove(path.path.stream('alice'));
    expect(closed).toEqual(['t']);
    expect(path.plane.figures).toMatchObject({ ears: 0, mouths: 0 });
  });
});

test('the beat runs only while somebody needs it', () => {
  const path = planePath();
  path.put('alice', pcmu, source('bob'));
  path.put('bob', opus, source('alice'));
  expect(path.clock.nextDueMs()).toBeUndefined();
  path.talker('alice').hz = 500;
  path.run(30);
  expect(path.clock.nextDueMs()).toBeDefined();
  path.talker('alice').hz = 0;
  path.run(100);
  expect(path.clock.nextDueMs()).toBeUndefined();
});
