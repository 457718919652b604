import { expect, test } from 'vitest';
import { table, width } from './table.ts';

test('columns stand below each other, numbers to the right, blanks among them too', () => {
  expect(
    table(
      ['NAME', 'CALLS'],
      [
        ['switch a1', 7],
        ['高橋', 120],
        ['edge', ''],
      ],
    ),
  ).toBe(['NAME       CALLS', 'switch a1      7', '高橋         120', 'edge'].join('\n'));
});

test('the width of a text is that in a terminal', () => {
  expect([width('abc'), width('é'), width('e\u0301'), width('高'), width('')]).toEqual([3, 1, 1, 2, 0]);
});
