/** Crockford's alphabet in lower case: no i, l, o, u, so that an id read aloud is heard right. */
const ALPHABET = '0123456789abcdefghjkmnpqrstvwxyz';

/** Five bits a character, most significant first; the last character is padded with zero bits. */
export function encodeBase32(bytes: Uint8Array): string {
  let text = '';
  let bits = 0;
  let held = 0;
  for (const byte of bytes) {
    bits = ((bits << 8) | byte) & 0xfff;
    held += 8;
    while (held >= 5) {
      held -= 5;
      text += ALPHABET[(bits >>> held) & 31];
    }
  }
  if (held > 0) text += ALPHABET[(bits << (5 - held)) & 31];
  return text;
}
