import { expect, test } from 'vitest';
import { levelDbov, limit, mixInto, newSpeakerSelection, selectSpeakers, takeMix } from './mix.ts';

test('everybody hears the others and nobody himself', () => {
  const voices = [new Int16Array([100, -200]), new Int16Array([1000, 2000]), new Int16Array([-5, 7])];
  const bus = new Int32Array(2);
  for (const voice of voices) mixInto(bus, voice);
  const out = new Int16Array(2);
  takeMix(bus, out, voices[1]);
  expect([...out]).toEqual([95, -193]);
});

test('fifty shouting voices are loud and never wrap round', () => {
  const bus = new Int32Array(1);
  for (let n = 0; n < 50; n++) mixInto(bus, new Int16Array([32_767]));
  const out = new Int16Array(1);
  takeMix(bus, out);
  expect(out[0]).toBeGreaterThan(32_000);
  let before = -1;
  for (let value = 0; value < 100_000; value += 10) {
    expect(limit(value)).toBeGreaterThanOrEqual(before);
    expect(limit(-value) + limit(value)).toBe(0);
    before = limit(value);
  }
});

test('a level is counted from full scale', () => {
  expect(levelDbov(new Int16Array(160).fill(-32_768))).toBeCloseTo(0);
  expect(levelDbov(new Int16Array(160).fill(3277))).toBeCloseTo(-20, 1);
  expect(levelDbov(new Int16Array(160))).toBe(-127);
});

test('a voice a little louder does not push another out, a much louder one does, and who leaves is gone', () => {
  const selection = newSpeakerSelection();
  const at = (a: number, b: number, c: number) =>
    new Map([
      ['a', a],
      ['b', b],
      ['c', c],
    ]);
  expect([...selectSpeakers(selection, at(-20, -25, -40), 2)].sort()).toEqual(['a', 'b']);
  expect([...selectSpeakers(selection, at(-20, -25, -22), 2)].sort()).toEqual(['a', 'b']);
  expect([...selectSpeakers(selection, at(-20, -30, -10), 2)].sort()).toEqual(['a', 'c']);
  expect([...selectSpeakers(selection, new Map([['b', -50]]), 2)]).toEqual(['b']);
});
