import { type Random, randomBelow } from '../../src/base/index.ts';

/** Pieces that parsers stumble over, inserted as they are or many times in a row. */
const PIECES = [
  '\r\n',
  '\r\n\r\n',
  '\r',
  '\n',
  '\r\n ',
  ' ',
  '\t',
  '\0',
  '\xff',
  '"',
  '\\',
  '<',
  '>',
  ';',
  ',',
  ':',
  '=',
  '@',
  '?',
  '%',
  '%00',
  '[',
  ']',
  '::',
  '(',
  ')',
  '*',
  '-1',
  '4294967296',
  '99999999999999999999',
  'SIP/2.0',
  'sip:',
  'Via: ',
  'v:',
  'l:',
  'Content-Length: ',
  ';tag=',
  ';branch=',
  '__proto__',
  'constructor',
  'Digest ',
  'a=',
  'm=audio ',
  '\xd0\xb0',
];

/** `count` small damages, each at a random place. The result is at most about 100 kB long. */
export function mutate(
  input: Uint8Array,
  others: readonly Uint8Array[],
  random: Random,
  count: number,
): Uint8Array {
  let bytes = Buffer.from(input);
  for (let i = 0; i < count; i++) bytes = damage(bytes, others, random);
  return bytes.subarray(0, 100_000);
}

function damage(bytes: Buffer, others: readonly Uint8Array[], random: Random): Buffer<ArrayBuffer> {
  const below = (bound: number): number => randomBelow(random, bound);
  const at = below(bytes.length + 1);
  const end = Math.min(bytes.length, at + 1 + below(below(4) === 0 ? 400 : 12));
  const replaced = (middle: Uint8Array, until: number): Buffer<ArrayBuffer> =>
    Buffer.concat([bytes.subarray(0, at), middle, bytes.subarray(until)]);
  const piece = Buffer.from(PIECES[below(PIECES.length)]!, 'latin1');
  switch (below(9)) {
    case 0: {
      const changed = Buffer.from(bytes);
      if (at < bytes.length) changed[at] = below(256);
      return changed;
    }
    case 1:
      return replaced(Buffer.alloc(0), end);
    case 2:
      return replaced(piece, at);
    case 3:
      return replaced(piece, end);
    case 4:
      return replaced(Buffer.concat(Array<Buffer>(1 + below(300)).fill(piece)), at);
    case 5:
      return replaced(bytes.subarray(at, end), at);
    case 6:
      return Buffer.from(bytes.subarray(0, at));
    case 7: {
      const other = others[below(others.length)]!;
      const from = below(other.length + 1);
      return replaced(other.subarray(from, from + below(200)), end);
    }
    default:
      return replaced(Buffer.from(random.bytes(1 + below(16))), end);
  }
}
