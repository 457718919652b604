import { createCipheriv, createDecipheriv, createHmac } from 'node:crypto';
import { type Random, TwinlineError } from '../base/index.ts';
import type { PairKeys } from './key-file.ts';
import type { Vault } from './vault.ts';

/** The key of one call, and the same wrapped by the pair's key. Lives in the owner's memory; only `wrapped` is stored. */
export interface CallKey {
  readonly key: Uint8Array;
  readonly wrapped: Uint8Array;
  /** Where the state itself is the vault: what has to be stored beside the call, apart from it, and deleted with it. */
  readonly secret?: Uint8Array;
}

/**
 * Encrypts what must not lie open in the state, such as SRTP keys (TR-MEDIA-10). AES-256-GCM throughout: a value under
 * its call's random key, that key under the pair's.
 */
export interface Sealer {
  /** A fresh key for a call. Kept and passed to `seal`, it saves the wrapping at each checkpoint. */
  callKey(): CallKey;
  /** JSON-able values; the result is a state value as it is. Without a key a fresh one is made. */
  seal(value: unknown, key?: CallKey): Uint8Array;
  /** Secrets lie in the state: `open` and `keyOf` need the one that was stored beside the call. */
  readonly inState: boolean;
  /** Throws `TwinlineError` `seal_broken` when the bytes were altered or their key version is unknown. */
  open(sealed: Uint8Array, secret?: Uint8Array): unknown;
  /** The call's key inside, for an adopter that goes on with it. Throws as `open`. */
  keyOf(sealed: Uint8Array, secret?: Uint8Array): CallKey;
  /**
   * At the call's end: from now on nothing that was sealed under this key can be opened, by anyone, whatever lies about of
   * it. Only for who still holds the call: after the commit that deletes it, or that stores it under another key. Without
   * a vault it does nothing; where the state is the vault, that commit has deleted the secret too.
   */
  erase(key: CallKey): void;
}

/**
 *     wrapped:  u8 format, u8 length of ref, u32 version of the pair's key, ref, 12 nonce, 32 encrypted key, 16 tag
 *     sealed:   wrapped, 12 nonce, ciphertext, 16 tag; the wrapped key is authenticated with the value
 *
 * With a ref the wrapping key is HMAC-SHA-256 of the vault's secret under the pair's key: both are needed.
 */
const FORMAT = 1;
const CIPHER = 'aes-256-gcm';
const KEY_BYTES = 32;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const FIXED_HEAD_BYTES = 6;
const SECRET_BYTES = 32;
/** The ref of a secret that lies in the state, under the call's own id. */
const IN_STATE = 'state';

/**
 * Values are sealed for the pair; with a vault, calls' keys can be erased at once. `state`: the secrets are stored beside the calls,
 * for a pair whose machines share no file.
 */
export function sealer(keys: PairKeys, random: Random, secrets?: Vault | 'state'): Sealer {
  const inState = secrets === 'state';
  const vault = secrets === 'state' ? undefined : secrets;
  const nonce = nonces(random);
  const callKey = (): CallKey => {
    const key = random.bytes(KEY_BYTES);
    const slot = inState ? { ref: IN_STATE, secret: random.bytes(SECRET_BYTES) } : vault?.take();
    const ref = Buffer.from(slot?.ref ?? '', 'latin1');
    const head = Buffer.alloc(FIXED_HEAD_BYTES + ref.length);
    head[0] = FORMAT;
    head[1] = ref.length;
    head.writeUInt32BE(keys.newest, 2);
    head.set(ref, FIXED_HEAD_BYTES);
    const wrapped = encrypt(wrappingKey(keys, keys.newest, slot?.secret), head, key, nonce());
    return { key, wrapped, ...(inState && slot && { secret: slot.secret }) };
  };
  const secretOf = (ref: string, stored: Uint8Array | undefined): Uint8Array | undefined => {
    if (ref === '') return undefined;
    const secret = ref === IN_STATE ? stored : vault?.read(ref);
    if (secret?.length !== SECRET_BYTES) throw broken('its key was erased');
    return secret;
  };
  const keyOf = (sealed: Uint8Array, stored?: Uint8Array): CallKey => {
    const bytes = Buffer.from(sealed.buffer, sealed.byteOffset, sealed.length);
    const headBytes = FIXED_HEAD_BYTES + (bytes[1] ?? 0);
    const wrappedBytes = headBytes + NONCE_BYTES + KEY_BYTES + TAG_BYTES;
    if (bytes.length < wrappedBytes || bytes[0] !== FORMAT) throw broken('it has no such form');
    const ref = refOf(bytes);
    const secret = secretOf(ref, stored);
    const wrapped = Buffer.from(bytes.subarray(0, wrappedBytes));
    const key = decrypt(wrappingKey(keys, bytes.readUInt32BE(2), secret), headBytes, wrapped);
    return { key, wrapped, ...(ref === IN_STATE && secret && { secret }) };
  };
  return {
    inState,
    callKey,
    keyOf,
    seal(value, { key, wrapped } = callKey()) {
      return encrypt(key, wrapped, JSON.stringify(value) ?? 'null', nonce());
    },
    open(sealed, stored) {
      const { key, wrapped } = keyOf(sealed, stored);
      return JSON.parse(decrypt(key, wrapped.length, sealed).toString('utf8'));
    },
    erase({ wrapped }) {
      const ref = refOf(wrapped);
      if (ref !== '' && ref !== IN_STATE) vault?.erase(ref);
    },
  };
}

const refOf = (wrapped: Uint8Array): string =>
  Buffer.from(wrapped.subarray(FIXED_HEAD_BYTES, FIXED_HEAD_BYTES + (wrapped[1] ?? 0))).toString('latin1');

function wrappingKey({ keys }: PairKeys, version: number, secret: Uint8Array | undefined): Uint8Array {
  const key = keys.get(version);
  if (key === undefined) throw broken(`the key file has no key of version ${version}`);
  return secret === undefined ? key : createHmac('sha256', key).update(secret).digest();
}

/** Drawn from the operating system 64 at a time: one draw costs 2 µs, a third of sealing. */
function nonces(random: Random): () => Uint8Array {
  let drawn: Uint8Array = new Uint8Array(0);
  let at = 0;
  return () => {
    if (at >= drawn.length) {
      drawn = random.bytes(64 * NONCE_BYTES);
      at = 0;
    }
    at += NONCE_BYTES;
    return drawn.subarray(at - NONCE_BYTES, at);
  };
}

/** `head`, nonce, ciphertext, tag: `head` stays readable and is authenticated. */
function encrypt(key: Uint8Array, head: Uint8Array, plain: Uint8Array | string, nonce: Uint8Array): Buffer {
  const cipher = createCipheriv(CIPHER, key, nonce);
  cipher.setAAD(head);
  // A string goes in as UTF-8 without a buffer of its own.
  const body = typeof plain === 'string' ? cipher.update(plain, 'utf8') : cipher.update(plain);
  // GCM ends without further bytes.
  cipher.final();
  return Buffer.concat([head, nonce, body, cipher.getAuthTag()]);
}

function decrypt(key: Uint8Array, headBytes: number, sealed: Uint8Array): Buffer {
  const bodyAt = headBytes + NONCE_BYTES;
  const tagAt = sealed.length - TAG_BYTES;
  if (tagAt < bodyAt) throw broken('it is too short');
  const decipher = createDecipheriv(CIPHER, key, sealed.subarray(headBytes, bodyAt), {
    authTagLength: TAG_BYTES,
  });
  decipher.setAAD(sealed.subarray(0, headBytes));
  decipher.setAuthTag(sealed.subarray(tagAt));
  const plain = decipher.update(sealed.subarray(bodyAt, tagAt));
  try {
    decipher.final();
  } catch {
    throw broken('it was altered, or another pair sealed it');
  }
  return plain;
}

const broken = (why: string): TwinlineError =>
  new TwinlineError('seal_broken', `a sealed value cannot be opened: ${why}`);
