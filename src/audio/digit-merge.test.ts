import { expect, test } from 'vitest';
import { countDigit, type DigitForm, newDigitMerge } from './digit-merge.ts';

const counted = (...presses: [DigitForm, string, number][]): string => {
  const merge = newDigitMerge();
  return presses
    .filter(([form, digit, beganMs]) => countDigit(merge, form, digit, beganMs))
    .map(([, digit]) => digit)
    .join('');
};

test('a key that is heard and told counts once, whichever comes first (CC-FLOW-22)', () => {
  expect(counted(['event', '5', 1000], ['audio', '5', 1090])).toBe('5');
  expect(counted(['audio', '5', 1090], ['event', '5', 1000])).toBe('5');
  expect(counted(['event', '5', 1000], ['audio', '5', 1090], ['info', '5', 1700])).toBe('5');
});

test('the same key pressed twice counts twice in every form', () => {
  expect(counted(['event', '5', 1000], ['event', '5', 1200])).toBe('55');
  expect(counted(['audio', '5', 1000], ['audio', '5', 1200])).toBe('55');
  expect(
    counted(['event', '5', 1000], ['audio', '5', 1080], ['event', '5', 1200], ['audio', '5', 1280]),
  ).toBe('55');
  expect(
    counted(['event', '5', 1000], ['event', '5', 1200], ['audio', '5', 1080], ['audio', '5', 1280]),
  ).toBe('55');
});

test('keys in a row come in the order of their forms mixed', () => {
  expect(
    counted(
      ['event', '1', 0],
      ['event', '2', 150],
      ['audio', '1', 60],
      ['audio', '2', 210],
      ['event', '3', 300],
    ),
  ).toBe('123');
});

test('a form that tells only a part loses nothing and doubles nothing', () => {
  expect(counted(['audio', '1', 0], ['event', '2', 400], ['audio', '3', 800], ['event', '3', 820])).toBe(
    '123',
  );
  expect(counted(['event', '7', 0], ['audio', '7', 1500])).toBe('77');
});

test('what is remembered has a bound', () => {
  const merge = newDigitMerge();
  for (let i = 0; i < 1000; i++) countDigit(merge, 'event', '1', 1000 + i / 100);
  expect(merge.recent.length).toBeLessThanOrEqual(32);
});
