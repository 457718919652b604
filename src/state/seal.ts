import { createCipheriv, createDecipheriv } from 'node:crypto';
import { type Random, TwinlineError } from '../base/index.ts';
import type { PairKeys } from './key-file.ts';

/** The key of one call, and the same wrapped by the pair's key. Lives in the owner's memory; only `wrapped` is stored. */
export interface CallKey {
  readonly key: Uint8Array;
  readonly wrapped: Uint8Array;
}

/**
 * Encrypts what must not lie open in the state, such as SRTP keys (TR-MEDIA-10). AES-256-GCM throughout: a value under
 * its call's random key, that key under the pair's.
 */
export interface Sealer {
  /** A fresh key for a call. Kept and passed to `seal`, it saves the wrapping at each checkpoint. */
  callKey(): CallKey;
  /** JSON-able values. In a state value keep the result as base64. Without a key a fresh one is made. */
  seal(value: unknown, key?: CallKey): Uint8Array;
  /** Throws `TwinlineError` `seal_broken` when the bytes were altered or their key version is unknown. */
  open(sealed: Uint8Array): unknown;
  /** The call's key inside, for an adopter that goes on with it. Throws as `open`. */
  keyOf(sealed: Uint8Array): CallKey;
}

/**
 *     wrapped:  u8 format, u32 version of the pair's key, 12 nonce, 32 encrypted key, 16 tag
 *     sealed:   wrapped, 12 nonce, ciphertext, 16 tag; the wrapped key is authenticated with the value
 */
const FORMAT = 1;
const CIPHER = 'aes-256-gcm';
const KEY_BYTES = 32;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const HEAD_BYTES = 5;
const WRAPPED_BYTES = HEAD_BYTES + NONCE_BYTES + KEY_BYTES + TAG_BYTES;

export function sealer(keys: PairKeys, random: Random): Sealer {
  const nonce = nonces(random);
  const callKey = (): CallKey => {
    const key = random.bytes(KEY_BYTES);
    const head = Buffer.alloc(HEAD_BYTES);
    head[0] = FORMAT;
    head.writeUInt32BE(keys.newest, 1);
    return { key, wrapped: encrypt(keyOfVersion(keys, keys.newest), head, key, nonce()) };
  };
  const keyOf = (sealed: Uint8Array): CallKey => {
    if (sealed.length < WRAPPED_BYTES || sealed[0] !== FORMAT) throw broken('it has no such form');
    const wrapped = Buffer.from(sealed.subarray(0, WRAPPED_BYTES));
    const version = wrapped.readUInt32BE(1);
    return { key: decrypt(keyOfVersion(keys, version), HEAD_BYTES, wrapped), wrapped };
  };
  return {
    callKey,
    keyOf,
    seal(value, { key, wrapped } = callKey()) {
      return encrypt(key, wrapped, Buffer.from(JSON.stringify(value) ?? 'null'), nonce());
    },
    open(sealed) {
      return JSON.parse(decrypt(keyOf(sealed).key, WRAPPED_BYTES, sealed).toString('utf8'));
    },
  };
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

function keyOfVersion({ keys }: PairKeys, version: number): Uint8Array {
  const key = keys.get(version);
  if (key === undefined) throw broken(`the key file has no key of version ${version}`);
  return key;
}

/** `head`, nonce, ciphertext, tag: `head` stays readable and is authenticated. */
function encrypt(key: Uint8Array, head: Uint8Array, plain: Uint8Array, nonce: Uint8Array): Buffer {
  const cipher = createCipheriv(CIPHER, key, nonce);
  cipher.setAAD(head);
  const body = cipher.update(plain);
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
