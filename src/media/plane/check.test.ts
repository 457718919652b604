import { expect, test } from 'vitest';
import { checkPlane } from './check.ts';

const codeOf = (spec: Record<string, unknown>): string => {
  try {
    checkPlane({ id: 'me', ...spec });
    return 'fine';
  } catch (error) {
    return `${(error as { code: string }).code}: ${(error as Error).message}`;
  }
};

const plays = (item: unknown, more: object = {}) => ({
  plays: { id: 'p', items: [item], times: 1, ...more },
});

test('what asks for decoded audio is taken as the protocol has it', () => {
  for (const spec of [
    {},
    { opaque: true },
    { hears: [{ stream: 'a' }, { stream: 'b', gainDb: -6 }], room: { id: 'r', speaks: true, hears: false } },
    plays({ tone: 'ringback', country: 'de', forMs: 4000 }, { paused: true, mixes: false, fromMs: 20 }),
    plays({ digits: '12#' }),
    plays({ silenceMs: 10 }),
    { detects: { dtmfInAudio: true }, taps: [{ id: 't', directions: ['sent', 'received'] }] },
  ])
    expect(codeOf(spec)).toBe('fine');
});

test('what is not is refused, and the sentence names the field', () => {
  for (const [spec, field] of [
    [{ hears: [{ stream: 'me' }] }, 'hears[0].stream'],
    [{ hears: [{ stream: 'a', gainDb: 99 }] }, 'hears[0].gainDb'],
    [{ room: { id: '', speaks: true, hears: true } }, 'room.id'],
    [{ room: { id: 'r' } }, 'room'],
    [plays({ tone: 'moo' }), 'plays.items[0].tone'],
    [plays({ digits: '12X' }), 'plays.items[0].digits'],
    [plays({ silenceMs: -1 }), 'plays.items[0].silenceMs'],
    [plays({ what: 1 }), 'plays.items[0]'],
    [plays({ asset: 'a.wav' }, { times: -1 }), 'plays.times'],
    [{ detects: { voice: 1 } }, 'detects.voice'],
    [{ taps: [{ id: 't', directions: [] }] }, 'taps[0].directions'],
    [{ taps: [{ id: 't', directions: ['sent', 'sent'] }] }, 'taps[0].directions'],
    [{ opaque: 1 }, 'opaque'],
  ] as const)
    expect(codeOf(spec)).toMatch(new RegExp(`^bad_spec: a stream's ${field.replace(/[[\].]/g, '\\$&')} `));
});

test('nothing of a stream that is encrypted end to end can be decoded', () => {
  for (const spec of [
    { hears: [{ stream: 'a' }] },
    { room: { id: 'r', speaks: true, hears: true } },
    plays({ tone: 'busy' }),
    { detects: {} },
    { taps: [] },
  ])
    expect(codeOf({ ...spec, opaque: true })).toMatch(/^e2ee_active/);
});
