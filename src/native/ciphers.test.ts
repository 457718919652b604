import { createCipheriv, createHmac, randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ciphers, loadCiphers } from './openssl.ts';

const libraries = (['process', 'libcrypto', 'node'] as const).flatMap((name) => loadCiphers(name) ?? []);

it('prefers the OpenSSL inside Node', () => {
  expect(ciphers().name).toBe('process');
});

describe.each(libraries)('$name', (library) => {
  const keys = fc.constantFrom(16, 32).map((length) => randomBytes(length));
  const bytes = fc.uint8Array({ minLength: 1, maxLength: 2000 });

  it('GCM gives what node:crypto gives, in place, wherever the view lies in its memory', () => {
    fc.assert(
      fc.property(keys, bytes, fc.nat({ max: 40 }), fc.nat({ max: 40 }), (key, message, offset, header) => {
        const headerLength = Math.min(header, message.length);
        const whole = Buffer.alloc(offset + message.length + 20 + 8, 0xee);
        const packet = whole.subarray(offset, offset + message.length + 20);
        packet.set(message);
        const extraAt = message.length + 16;
        const context = library.gcm(key);
        const iv = randomBytes(12);
        const reference = createCipheriv(key.length === 16 ? 'aes-128-gcm' : 'aes-256-gcm', key, iv);
        reference.setAAD(
          Buffer.concat([message.subarray(0, headerLength), packet.subarray(extraAt, extraAt + 4)]),
        );
        const expected = Buffer.concat([
          message.subarray(0, headerLength),
          reference.update(message.subarray(headerLength)),
          reference.final(),
          reference.getAuthTag(),
        ]);
        context.iv.set(iv);
        expect(context.seal(packet, headerLength, message.length, extraAt)).toBe(true);
        expect(packet.subarray(0, message.length + 16).equals(expected)).toBe(true);
        // Nothing around the view was touched.
        expect(whole.subarray(0, offset).every((byte) => byte === 0xee)).toBe(true);
        expect(whole.subarray(offset + message.length + 16).every((byte) => byte === 0xee)).toBe(true);

        const tampered = Buffer.from(packet);
        tampered[extraAt]! ^= 1;
        context.iv.set(iv);
        expect(context.open(tampered, headerLength, message.length, extraAt)).toBe(false);
        context.iv.set(iv);
        expect(context.open(packet, headerLength, message.length, extraAt)).toBe(true);
        expect(packet.subarray(0, message.length).equals(message)).toBe(true);
        context.free();
      }),
      { numRuns: 50 },
    );
  });

  it('counter mode and HMAC-SHA1 give what node:crypto gives, again and again under one key', () => {
    const key = randomBytes(32);
    const counter = library.counter(key);
    const hmac = library.hmacSha1(key.subarray(0, 20));
    fc.assert(
      fc.property(bytes, fc.nat({ max: 30 }), (message, skip) => {
        const start = Math.min(skip, message.length);
        const packet = Buffer.from(message);
        const iv = randomBytes(16);
        counter.iv.set(iv);
        expect(counter.apply(packet, start, packet.length)).toBe(true);
        const expected = createCipheriv('aes-256-ctr', key, iv).update(message.subarray(start));
        expect(packet.subarray(start).equals(expected)).toBe(true);
        expect(packet.subarray(0, start).equals(message.subarray(0, start))).toBe(true);
        expect(hmac.compute(packet, packet.length)).toBe(true);
        const digest = createHmac('sha1', key.subarray(0, 20)).update(packet).digest();
        expect(Buffer.from(hmac.digest).equals(digest)).toBe(true);
      }),
      { numRuns: 50 },
    );
  });

  it('refuses whatever would reach outside the view, and leaves it alone', () => {
    const gcm = library.gcm(randomBytes(32));
    const counter = library.counter(randomBytes(16));
    const hmac = library.hmacSha1(randomBytes(20));
    const outside = Buffer.alloc(64, 1);
    const packet = outside.subarray(10, 40);
    const bad: [number, number, number][] = [
      [0, 15, -1],
      [-1, 10, -1],
      [12, 11, -1],
      [0, 10, 27],
      [0, Number.NaN, -1],
      [0.5, 10, -1],
      [0, 2 ** 40, -1],
      [0, Number.POSITIVE_INFINITY, -1],
    ];
    for (const [headerLength, end, extraAt] of bad) {
      expect(gcm.seal(packet, headerLength, end, extraAt)).toBe(false);
      expect(gcm.open(packet, headerLength, end, extraAt)).toBe(false);
    }
    for (const [start, end] of [
      [0, 31],
      [-1, 3],
      [4, 3],
      [0, Number.NaN],
    ] as const) {
      expect(counter.apply(packet, start, end)).toBe(false);
      expect(hmac.compute(packet, start < 0 || end < start ? -1 : end)).toBe(false);
    }
    expect(outside.every((byte) => byte === 1)).toBe(true);
  });

  it('refuses a view whose memory was given away', () => {
    const packet = new Uint8Array(100);
    const gcm = library.gcm(randomBytes(16));
    expect(gcm.seal(packet, 0, 50, -1)).toBe(true);
    structuredClone(packet.buffer, { transfer: [packet.buffer] });
    expect(gcm.seal(packet, 0, 50, -1)).toBe(false);
  });

  it('refuses keys of another length', () => {
    expect(() => library.gcm(randomBytes(24))).toThrow(RangeError);
    expect(() => library.counter(randomBytes(0))).toThrow(RangeError);
  });
});

it('a freed context does nothing any more, and may be freed again', () => {
  const library = loadCiphers('process')!;
  for (const context of [
    library.gcm(randomBytes(16)),
    library.counter(randomBytes(16)),
    library.hmacSha1(randomBytes(20)),
  ]) {
    context.free();
    context.free();
    if ('seal' in context) expect(context.seal(new Uint8Array(60), 0, 20, -1)).toBe(false);
    else if ('apply' in context) expect(context.apply(new Uint8Array(60), 0, 20)).toBe(false);
    else expect(context.compute(new Uint8Array(60), 20)).toBe(false);
  }
});
