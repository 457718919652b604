const table = new Int32Array(256);
for (let octet = 0; octet < 256; octet++) {
  let crc = octet;
  for (let bit = 0; bit < 8; bit++) crc = (crc & 1) === 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
  table[octet] = crc;
}

/** CRC-32 as in Ethernet and zlib (ITU-T V.42), of [0, end), as a number from 0 to 2^32 - 1. Here because zlib's wants a view of its own. */
export function crc32(bytes: Uint8Array, end: number): number {
  let crc = -1;
  for (let at = 0; at < end; at++) crc = table[(crc ^ bytes[at]!) & 255]! ^ (crc >>> 8);
  return (crc ^ -1) >>> 0;
}
