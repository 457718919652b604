import { randomFillSync } from 'node:crypto';
import type { Random } from '../base/index.ts';

/** Asking OpenSSL costs about a microsecond, whatever the length: ids of some ten bytes are cut from a stock. */
const STOCK_BYTES = 4096;
const stock = Buffer.alloc(STOCK_BYTES);
let used = STOCK_BYTES;

/** The operating system's chance. Each byte is given out once and wiped from the stock. */
export const systemRandom: Random = {
  bytes(length) {
    const out = new Uint8Array(length);
    if (length > STOCK_BYTES / 16) return randomFillSync(out);
    if (used + length > STOCK_BYTES) {
      randomFillSync(stock);
      used = 0;
    }
    out.set(stock.subarray(used, used + length));
    stock.fill(0, used, used + length);
    used += length;
    return out;
  },
};
