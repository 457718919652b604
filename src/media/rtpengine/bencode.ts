/** What bencode can say, as rtpengine's ng protocol uses it. Byte strings are UTF-8 here: SDP and words. */
export type Bencoded = string | number | readonly Bencoded[] | { readonly [key: string]: Bencoded };

export function bencode(value: Bencoded): string {
  if (typeof value === 'string') return `${Buffer.byteLength(value)}:${value}`;
  if (typeof value === 'number') return `i${Math.trunc(value)}e`;
  if (Array.isArray(value)) return `l${value.map(bencode).join('')}e`;
  const entries = Object.entries(value as Record<string, Bencoded>);
  return `d${entries.map(([key, item]) => bencode(key) + bencode(item)).join('')}e`;
}

/** Throws on what is no bencode. */
export function bdecode(bytes: Buffer): Bencoded {
  let at = 0;
  const until = (mark: string): string => {
    const end = bytes.indexOf(mark, at);
    if (end < 0) throw new Error(`bencode ends before "${mark}"`);
    const text = bytes.toString('latin1', at, end);
    at = end + 1;
    return text;
  };
  const value = (): Bencoded => {
    const kind = String.fromCharCode(bytes[at] ?? 0);
    if (kind === 'i') {
      at++;
      return Number(until('e'));
    }
    if (kind === 'l') {
      at++;
      const items: Bencoded[] = [];
      while (bytes[at] !== 0x65) items.push(value());
      at++;
      return items;
    }
    if (kind === 'd') {
      at++;
      const items: Record<string, Bencoded> = {};
      while (bytes[at] !== 0x65) items[String(value())] = value();
      at++;
      return items;
    }
    const length = Number(until(':'));
    if (!Number.isInteger(length) || at + length > bytes.length) throw new Error(`no bencode at byte ${at}`);
    const text = bytes.toString('utf8', at, at + length);
    at += length;
    return text;
  };
  return value();
}
