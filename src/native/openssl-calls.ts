import koffi from 'koffi';

/** A pointer as a plain number: a third faster than handing over Buffers, and no view per packet needs to be made. */
export type Address = number;
type Call = (...values: number[]) => number;

/** libcrypto's functions as we use them, and the memory that their small results go to. */
export interface OpenSslCalls {
  readonly contextNew: Call;
  readonly contextFree: Call;
  readonly encryptInit: Call;
  readonly encryptUpdate: Call;
  readonly encryptFinal: Call;
  readonly decryptInit: Call;
  readonly decryptUpdate: Call;
  readonly decryptFinal: Call;
  readonly control: Call;
  readonly hmacNew: Call;
  readonly hmacFree: Call;
  readonly hmacInit: Call;
  readonly hmacUpdate: Call;
  readonly hmacFinal: Call;
  /** By octets of key. */
  readonly gcm: ReadonlyMap<number, Address>;
  readonly counter: ReadonlyMap<number, Address>;
  readonly sha1: Address;
  addressOf(view: Uint8Array): Address;
  readonly scratch: Scratch;
}

/** Calls are synchronous, so all contexts of a thread share one block. */
export interface Scratch {
  readonly iv12: Uint8Array;
  readonly iv16: Uint8Array;
  readonly digest: Uint8Array;
  readonly ivAt: Address;
  readonly digestAt: Address;
  readonly lengthAt: Address;
}

/** Binds the OpenSSL in this process (`null`) or a library. Throws when it is not there or lacks a function. */
export function bindOpenSsl(path: string | null): OpenSslCalls {
  const library = koffi.load(path);
  const bind = (symbol: string, result: string, parameters: string[]): Call =>
    library.func(symbol, result, parameters) as unknown as Call;
  const algorithm = (symbol: string): Address => bind(symbol, P, [])();
  const P = 'uintptr_t';
  const addressOf = addressBook();
  return {
    contextNew: bind('EVP_CIPHER_CTX_new', P, []),
    contextFree: bind('EVP_CIPHER_CTX_free', 'void', [P]),
    encryptInit: bind('EVP_EncryptInit_ex', 'int', [P, P, P, P, P]),
    encryptUpdate: bind('EVP_EncryptUpdate', 'int', [P, P, P, P, 'int']),
    encryptFinal: bind('EVP_EncryptFinal_ex', 'int', [P, P, P]),
    decryptInit: bind('EVP_DecryptInit_ex', 'int', [P, P, P, P, P]),
    decryptUpdate: bind('EVP_DecryptUpdate', 'int', [P, P, P, P, 'int']),
    decryptFinal: bind('EVP_DecryptFinal_ex', 'int', [P, P, P]),
    control: bind('EVP_CIPHER_CTX_ctrl', 'int', [P, 'int', 'int', P]),
    // HMAC_* rather than EVP_MAC: 0.33 µs a packet against 0.40.
    hmacNew: bind('HMAC_CTX_new', P, []),
    hmacFree: bind('HMAC_CTX_free', 'void', [P]),
    hmacInit: bind('HMAC_Init_ex', 'int', [P, P, 'int', P, P]),
    hmacUpdate: bind('HMAC_Update', 'int', [P, P, 'size_t']),
    hmacFinal: bind('HMAC_Final', 'int', [P, P, P]),
    gcm: new Map([
      [16, algorithm('EVP_aes_128_gcm')],
      [32, algorithm('EVP_aes_256_gcm')],
    ]),
    counter: new Map([
      [16, algorithm('EVP_aes_128_ctr')],
      [32, algorithm('EVP_aes_256_ctr')],
    ]),
    sha1: algorithm('EVP_sha1'),
    addressOf,
    scratch: newScratch(addressOf),
  };
}

/** Where an ArrayBuffer lies: its memory never moves. Views of one slab hit the single-entry cache. */
function addressBook(): (view: Uint8Array) => Address {
  const bases = new WeakMap<ArrayBufferLike, Address>();
  let lastBuffer: ArrayBufferLike | undefined;
  let lastBase = 0;
  return (view) => {
    const buffer = view.buffer;
    if (buffer !== lastBuffer) {
      let base = bases.get(buffer);
      if (base === undefined) {
        base = Number(koffi.address(new Uint8Array(buffer)));
        bases.set(buffer, base);
      }
      lastBuffer = buffer;
      lastBase = base;
    }
    return lastBase + view.byteOffset;
  };
}

function newScratch(addressOf: (view: Uint8Array) => Address): Scratch {
  const block = new ArrayBuffer(64);
  const iv16 = new Uint8Array(block, 0, 16);
  const digest = new Uint8Array(block, 16, 20);
  const ivAt = addressOf(iv16);
  return { iv12: new Uint8Array(block, 0, 12), iv16, digest, ivAt, digestAt: ivAt + 16, lengthAt: ivAt + 48 };
}
