import {
  type CipherLibrary,
  type CounterContext,
  fits,
  GCM_TAG_LENGTH,
  type GcmContext,
  type HmacContext,
} from './ciphers.ts';
import { freeHandle, type Handle, newHandle } from './handle.ts';
import { type Address, bindOpenSsl, type OpenSslCalls } from './openssl-calls.ts';
import { nodeCiphers } from './openssl-fallback.ts';

let best: CipherLibrary | undefined;

/** The fastest library that this machine offers; decided once. */
export function ciphers(): CipherLibrary {
  best ??= loadCiphers('process') ?? loadCiphers('libcrypto') ?? nodeCiphers;
  return best;
}

/** One library in particular, for tests and measurements; undefined where it does not load. */
export function loadCiphers(name: CipherLibrary['name']): CipherLibrary | undefined {
  if (name === 'node') return nodeCiphers;
  try {
    const calls = bindOpenSsl(name === 'process' ? null : 'libcrypto.so.3');
    return {
      name,
      gcm: (key) => new OpenSslGcm(calls, key),
      counter: (key) => new OpenSslCounter(calls, key),
      hmacSha1: (key) => new OpenSslHmac(calls, key),
    };
  } catch {
    // A Node that hides its OpenSSL, or no library of that name: the next one serves.
    return undefined;
  }
}

const SET_TAG = 0x11;
const GET_TAG = 0x10;
const NONE: Address = 0;

function cipherHandle(
  owner: object,
  calls: OpenSslCalls,
  table: ReadonlyMap<number, Address>,
  key: Uint8Array,
  init: OpenSslCalls['encryptInit'],
): Handle {
  const cipher = table.get(key.length);
  if (cipher === undefined) throw new RangeError(`an AES key has 16 or 32 octets here, not ${key.length}`);
  const handle = newHandle(owner, calls.contextNew(), calls.contextFree);
  if (handle.address === NONE || init(handle.address, cipher, NONE, calls.addressOf(key), NONE) !== 1) {
    freeHandle(handle);
    throw new Error('OpenSSL refused to make an AES context');
  }
  return handle;
}

class OpenSslGcm implements GcmContext {
  readonly iv: Uint8Array;
  readonly #calls: OpenSslCalls;
  /** One for both ways: GCM runs AES forward in both, so the key stays when the direction turns. */
  readonly #context: Handle;

  constructor(calls: OpenSslCalls, key: Uint8Array) {
    this.iv = calls.scratch.iv12;
    this.#calls = calls;
    this.#context = cipherHandle(this, calls, calls.gcm, key, calls.encryptInit);
  }

  seal(packet: Uint8Array, headerLength: number, end: number, extraAt: number): boolean {
    const context = this.#context.address;
    if (context === NONE || !fits(packet, headerLength, end, GCM_TAG_LENGTH, extraAt)) return false;
    const { encryptInit, encryptUpdate, encryptFinal, control, scratch, addressOf } = this.#calls;
    const { ivAt, lengthAt, digestAt } = scratch;
    const at = addressOf(packet);
    const body = at + headerLength;
    return (
      encryptInit(context, NONE, NONE, NONE, ivAt) === 1 &&
      encryptUpdate(context, NONE, lengthAt, at, headerLength) === 1 &&
      (extraAt < 0 || encryptUpdate(context, NONE, lengthAt, at + extraAt, 4) === 1) &&
      (end === headerLength || encryptUpdate(context, body, lengthAt, body, end - headerLength) === 1) &&
      encryptFinal(context, digestAt, lengthAt) === 1 &&
      control(context, GET_TAG, GCM_TAG_LENGTH, at + end) === 1
    );
  }

  open(packet: Uint8Array, headerLength: number, end: number, extraAt: number): boolean {
    const context = this.#context.address;
    if (context === NONE || !fits(packet, headerLength, end, GCM_TAG_LENGTH, extraAt)) return false;
    const { decryptInit, decryptUpdate, decryptFinal, control, scratch, addressOf } = this.#calls;
    const { ivAt, lengthAt, digestAt } = scratch;
    const at = addressOf(packet);
    const body = at + headerLength;
    return (
      decryptInit(context, NONE, NONE, NONE, ivAt) === 1 &&
      decryptUpdate(context, NONE, lengthAt, at, headerLength) === 1 &&
      (extraAt < 0 || decryptUpdate(context, NONE, lengthAt, at + extraAt, 4) === 1) &&
      (end === headerLength || decryptUpdate(context, body, lengthAt, body, end - headerLength) === 1) &&
      control(context, SET_TAG, GCM_TAG_LENGTH, at + end) === 1 &&
      decryptFinal(context, digestAt, lengthAt) === 1
    );
  }

  free(): void {
    freeHandle(this.#context);
  }
}

class OpenSslCounter implements CounterContext {
  readonly iv: Uint8Array;
  readonly #calls: OpenSslCalls;
  readonly #context: Handle;

  constructor(calls: OpenSslCalls, key: Uint8Array) {
    this.iv = calls.scratch.iv16;
    this.#calls = calls;
    this.#context = cipherHandle(this, calls, calls.counter, key, calls.encryptInit);
  }

  apply(packet: Uint8Array, start: number, end: number): boolean {
    const context = this.#context.address;
    if (context === NONE || !fits(packet, start, end, 0, -1)) return false;
    if (start === end) return true;
    const { encryptInit, encryptUpdate, addressOf, scratch } = this.#calls;
    const body = addressOf(packet) + start;
    return (
      encryptInit(context, NONE, NONE, NONE, scratch.ivAt) === 1 &&
      encryptUpdate(context, body, scratch.lengthAt, body, end - start) === 1
    );
  }

  free(): void {
    freeHandle(this.#context);
  }
}

class OpenSslHmac implements HmacContext {
  readonly digest: Uint8Array;
  readonly #calls: OpenSslCalls;
  readonly #context: Handle;

  constructor(calls: OpenSslCalls, key: Uint8Array) {
    if (key.length === 0) throw new RangeError('an HMAC key is empty');
    this.digest = calls.scratch.digest;
    this.#calls = calls;
    this.#context = newHandle(this, calls.hmacNew(), calls.hmacFree);
    const context = this.#context.address;
    if (
      context === NONE ||
      calls.hmacInit(context, calls.addressOf(key), key.length, calls.sha1, NONE) !== 1
    ) {
      freeHandle(this.#context);
      throw new Error('OpenSSL refused to make an HMAC-SHA1 context');
    }
  }

  compute(packet: Uint8Array, end: number): boolean {
    const context = this.#context.address;
    if (context === NONE || !fits(packet, 0, end, 0, -1)) return false;
    const { hmacInit, hmacUpdate, hmacFinal, addressOf, scratch } = this.#calls;
    return (
      // Without a key: the same one again.
      hmacInit(context, NONE, 0, NONE, NONE) === 1 &&
      hmacUpdate(context, addressOf(packet), end) === 1 &&
      hmacFinal(context, scratch.digestAt, scratch.lengthAt) === 1
    );
  }

  free(): void {
    freeHandle(this.#context);
  }
}
