import fc from 'fast-check';
import { expect, test } from 'vitest';
import { opusCarriesFec } from './opus-packet.ts';

const carries = (...octets: number[]): boolean => opusCarriesFec(Buffer.from(octets), 0, octets.length);
const toc = (configuration: number, code = 0, stereo = 0): number =>
  (configuration << 3) | (stereo << 2) | code;

test('the flag stands behind one voice flag for each 20 ms', () => {
  expect(carries(toc(9), 0b0100_0000)).toBe(true);
  expect(carries(toc(9), 0b1000_0000)).toBe(false);
  // Hybrid; 40 ms and 60 ms.
  expect(carries(toc(15), 0b1100_0000)).toBe(true);
  expect(carries(toc(10), 0b1110_0000)).toBe(true);
  expect(carries(toc(10), 0b1100_0000)).toBe(false);
  expect(carries(toc(11), 0b1111_0000)).toBe(true);
  expect(carries(toc(11), 0b1110_0000)).toBe(false);
});

test('CELT has none, a stereo frame has one for each channel', () => {
  for (let configuration = 16; configuration < 32; configuration++)
    expect(carries(toc(configuration), 0xff)).toBe(false);
  expect(carries(toc(9, 0, 1), 0b1001_0000)).toBe(true);
  expect(carries(toc(9, 0, 1), 0b1010_0000)).toBe(false);
});

test('the first of several frames is found', () => {
  expect(carries(toc(9, 1), 0x40, 0x00)).toBe(true);
  expect(carries(toc(9, 2), 1, 0x40, 0)).toBe(true);
  expect(carries(toc(9, 2), 252, 0, 0x40)).toBe(true);
  expect(carries(toc(9, 2), 0, 0x40)).toBe(false);
  // Three frames of one rate; the same with padding; variable rates.
  expect(carries(toc(9, 3), 3, 0x40, 0, 0)).toBe(true);
  expect(carries(toc(9, 3), 0x43, 2, 0x40, 0, 0, 0, 0)).toBe(true);
  expect(carries(toc(9, 3), 0x83, 1, 1, 0x40, 0, 0)).toBe(true);
  expect(carries(toc(9, 3), 0x82, 0, 0x40)).toBe(false);
});

test('anything may come', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 20 }), fc.integer({ min: -2, max: 22 }), (octets, from) => {
      expect(typeof opusCarriesFec(octets, from, octets.length)).toBe('boolean');
    }),
  );
});
