import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type Bencoded, bdecode, bencode } from './bencode.ts';

test('a command reads as the specification of bencode has it', () => {
  const command = { command: 'offer', flags: ['a', 'bc'], 'call-id': 'é', n: -7 };
  const text = 'd7:command5:offer5:flagsl1:a2:bce7:call-id2:é1:ni-7ee';
  expect(bencode(command)).toBe(text);
  expect(bdecode(Buffer.from(text))).toEqual(command);
});

test('everything comes back as it was', () => {
  const { any } = fc.letrec<{ any: Bencoded }>((tie) => ({
    any: fc.oneof(
      { depthSize: 'small' },
      fc.string({ unit: 'grapheme' }),
      fc.integer(),
      fc.array(tie('any'), { maxLength: 4 }),
      fc.dictionary(fc.string({ unit: fc.constantFrom('a', 'é', '-', '1') }), tie('any'), {
        maxKeys: 4,
        noNullPrototype: true,
      }),
    ),
  }));
  fc.assert(
    fc.property(any, (value) => {
      expect(bdecode(Buffer.from(bencode(value)))).toEqual(value);
    }),
  );
});

test('what ends too early is an error', () => {
  for (const text of ['d1:a', 'l', 'i12', '5:abc', 'x']) expect(() => bdecode(Buffer.from(text))).toThrow();
});
