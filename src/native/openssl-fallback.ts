import { createCipheriv, createDecipheriv, createHmac } from 'node:crypto';
import { type CipherLibrary, fits, GCM_TAG_LENGTH } from './ciphers.ts';

/** The same contexts on node:crypto: makes an object per packet, needs nothing of the platform. */
export const nodeCiphers: CipherLibrary = {
  name: 'node',
  gcm(key) {
    const bits = keyBits(key);
    const algorithm = bits === 128 ? 'aes-128-gcm' : 'aes-256-gcm';
    const ownKey = Uint8Array.from(key);
    const iv = new Uint8Array(12);
    return {
      iv,
      seal(packet, headerLength, end, extraAt) {
        if (!fits(packet, headerLength, end, GCM_TAG_LENGTH, extraAt)) return false;
        const cipher = createCipheriv(algorithm, ownKey, iv);
        cipher.setAAD(authenticated(packet, headerLength, extraAt));
        packet.set(cipher.update(packet.subarray(headerLength, end)), headerLength);
        cipher.final();
        packet.set(cipher.getAuthTag(), end);
        return true;
      },
      open(packet, headerLength, end, extraAt) {
        if (!fits(packet, headerLength, end, GCM_TAG_LENGTH, extraAt)) return false;
        const decipher = createDecipheriv(algorithm, ownKey, iv);
        decipher.setAAD(authenticated(packet, headerLength, extraAt));
        decipher.setAuthTag(packet.slice(end, end + GCM_TAG_LENGTH));
        const plain = decipher.update(packet.subarray(headerLength, end));
        try {
          decipher.final();
        } catch {
          return false;
        }
        packet.set(plain, headerLength);
        return true;
      },
      free() {
        ownKey.fill(0);
      },
    };
  },
  counter(key) {
    const algorithm = keyBits(key) === 128 ? 'aes-128-ctr' : 'aes-256-ctr';
    const ownKey = Uint8Array.from(key);
    const iv = new Uint8Array(16);
    return {
      iv,
      apply(packet, start, end) {
        if (!fits(packet, start, end, 0, -1)) return false;
        packet.set(createCipheriv(algorithm, ownKey, iv).update(packet.subarray(start, end)), start);
        return true;
      },
      free() {
        ownKey.fill(0);
      },
    };
  },
  hmacSha1(key) {
    const ownKey = Uint8Array.from(key);
    const digest = new Uint8Array(20);
    return {
      digest,
      compute(packet, end) {
        if (!fits(packet, 0, end, 0, -1)) return false;
        digest.set(createHmac('sha1', ownKey).update(packet.subarray(0, end)).digest());
        return true;
      },
      free() {
        ownKey.fill(0);
      },
    };
  },
};

function keyBits(key: Uint8Array): 128 | 256 {
  if (key.length === 16) return 128;
  if (key.length === 32) return 256;
  throw new RangeError(`an AES key has 16 or 32 octets here, not ${key.length}`);
}

function authenticated(packet: Uint8Array, headerLength: number, extraAt: number): Uint8Array {
  const header = packet.subarray(0, headerLength);
  return extraAt < 0 ? header : Buffer.concat([header, packet.subarray(extraAt, extraAt + 4)]);
}
