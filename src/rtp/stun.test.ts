import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ciphers, parseAddress, UdpAddress } from '../native/index.ts';
import { crc32 } from './crc32.ts';
import { isIntact, parseStun, readXorMappedAddress, StunMessage } from './stun.ts';
import { STUN_BINDING_ERROR, STUN_BINDING_REQUEST, STUN_BINDING_SUCCESS } from './stun-codes.ts';
import {
  beginStun,
  finishStun,
  writeErrorCode,
  writePriority,
  writeRole,
  writeUnknownAttributes,
  writeUseCandidate,
  writeUsername,
  writeXorMappedAddress,
} from './stun-write.ts';

const bytes = (hex: string): Buffer => Buffer.from(hex.replaceAll(/\s/g, ''), 'hex');
const keyOf = (password: string | Buffer) => ciphers().hmacSha1(Buffer.from(password as string));
const TRANSACTION = bytes('b7e7a701bc34d686fa87dfae');

/** RFC 5769. */
const PASSWORD = 'VOkJxbRl1RmTxUk/WvJxBt';
const REQUEST = bytes(`
  0001 0058 2112a442 b7e7a701bc34d686fa87dfae
  8022 0010 5354554e207465737420636c69656e74
  0024 0004 6e0001ff
  8029 0008 932ff9b151263b36
  0006 0009 6576746a3a68367659 202020
  0008 0014 9aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a2
  8028 0004 e57a3bcf`);
const RESPONSE_4 = bytes(`
  0101 003c 2112a442 b7e7a701bc34d686fa87dfae
  8022 000b 7465737420766563746f72 20
  0020 0008 0001a147e112a643
  0008 0014 2b91f599fd9e90c38c7489f92af9ba53f06be7d7
  8028 0004 c07d4c96`);
const RESPONSE_6 = bytes(`
  0101 0048 2112a442 b7e7a701bc34d686fa87dfae
  8022 000b 7465737420766563746f72 20
  0020 0014 0002a1470113a9faa5d3f179bc25f4b5bed2b9d9
  0008 0014 a382954e4be67bf11784c97c8292c275bfe3ed41
  8028 0004 c8fb0b4c`);

function parsed(packet: Uint8Array): StunMessage | undefined {
  const message = new StunMessage();
  return parseStun(packet, packet.length, message) ? message : undefined;
}

describe('the vectors of RFC 5769', () => {
  test('request', () => {
    const message = parsed(REQUEST)!;
    expect(message).toMatchObject({
      type: STUN_BINDING_REQUEST,
      hasFingerprint: true,
      priority: 0x6e0001ff,
      role: 'controlled',
      useCandidate: false,
      unknownCount: 0,
    });
    const { usernameAt, usernameLength, tieBreakerAt } = message;
    expect(REQUEST.toString('latin1', usernameAt, usernameAt + usernameLength)).toBe('evtj:h6vY');
    expect(REQUEST.toString('hex', tieBreakerAt, tieBreakerAt + 8)).toBe('932ff9b151263b36');
    const before = Buffer.from(REQUEST);
    expect(isIntact(REQUEST, message, keyOf(PASSWORD))).toBe(true);
    expect(isIntact(REQUEST, message, keyOf('another'))).toBe(false);
    expect(REQUEST).toEqual(before);
  });

  test.each([
    ['IPv4', RESPONSE_4, '192.0.2.1:32853'],
    ['IPv6', RESPONSE_6, '[2001:db8:1234:5678:11:2233:4455:6677]:32853'],
  ])('%s response', (_, packet, address) => {
    const message = parsed(packet)!;
    expect(message).toMatchObject({ type: STUN_BINDING_SUCCESS, hasFingerprint: true });
    expect(isIntact(packet, message, keyOf(PASSWORD))).toBe(true);
    const mapped = new UdpAddress();
    expect(readXorMappedAddress(packet, message, mapped)).toBe(true);
    expect(`${mapped}`).toBe(address);
  });
});

describe('what is written', () => {
  const into = Buffer.alloc(512);

  test('is read as it was meant', () => {
    fc.assert(
      fc.property(
        fc.string({ minLength: 1, maxLength: 100 }),
        fc.integer({ min: 0, max: 2 ** 32 - 1 }),
        fc.constantFrom('controlling' as const, 'controlled' as const),
        fc.boolean(),
        (username, priority, role, useCandidate) => {
          const name = Buffer.from(username);
          let at = writeUsername(into, beginStun(into, STUN_BINDING_REQUEST, TRANSACTION), name);
          at = writeRole(into, writePriority(into, at, priority), role, Buffer.from('tiebreak'));
          if (useCandidate) at = writeUseCandidate(into, at);
          const packet = into.subarray(0, finishStun(into, at, keyOf('secret')));
          const message = parsed(packet)!;
          expect(message).toMatchObject({ priority, role, useCandidate, hasFingerprint: true });
          expect(packet.subarray(message.usernameAt, message.usernameAt + message.usernameLength)).toEqual(
            name,
          );
          expect(isIntact(packet, message, keyOf('secret'))).toBe(true);
          expect(packet.subarray(8, 20)).toEqual(TRANSACTION);
        },
      ),
    );
  });

  test('an address comes back as it was, of either family', () => {
    for (const text of ['192.0.2.7', '0.0.0.0', '255.255.255.255', '2001:db8::1', '::1', 'fe80::ffff:1']) {
      const address = parseAddress(text, 65_535)!;
      const at = writeXorMappedAddress(into, beginStun(into, STUN_BINDING_SUCCESS, REQUEST), address);
      const packet = into.subarray(0, finishStun(into, at, undefined));
      const mapped = new UdpAddress();
      expect(readXorMappedAddress(packet, parsed(packet)!, mapped)).toBe(true);
      expect(mapped.equals(address)).toBe(true);
    }
  });

  test('an error tells its code and what was not understood', () => {
    let at = writeErrorCode(into, beginStun(into, STUN_BINDING_ERROR, REQUEST), 420, 'Unknown Attribute');
    at = writeUnknownAttributes(into, at, Uint16Array.from([0x7f01, 0x7f02, 0x7f03]), 3);
    const packet = into.subarray(0, finishStun(into, at, undefined));
    expect(parsed(packet)).toMatchObject({ type: STUN_BINDING_ERROR, errorCode: 420, integrityAt: -1 });
    expect(packet.toString('hex')).toContain('000a00067f017f027f030000');
  });
});

describe('what is no STUN message, or not a sound one', () => {
  test('another cookie, a length that is not the packet’s, a FINGERPRINT that is wrong or not the last', () => {
    for (let at = 0; at < REQUEST.length; at++) {
      const damaged = Buffer.from(REQUEST);
      damaged[at]! ^= 0x40;
      // One bit anywhere: the checksum sees it, unless it is no longer known as one.
      const message = parsed(damaged);
      expect(message?.hasFingerprint ?? false).toBe(false);
    }
    expect(parsed(REQUEST.subarray(0, 19))).toBeUndefined();
    expect(parsed(REQUEST.subarray(0, REQUEST.length - 4))).toBeUndefined();
    const fingerprint = REQUEST.subarray(REQUEST.length - 8);
    const twice = Buffer.concat([REQUEST, fingerprint]);
    twice.writeUInt16BE(twice.length - 20, 2);
    expect(parsed(twice)).toBeUndefined();
  });

  test('what stands behind MESSAGE-INTEGRITY is not believed', () => {
    const into = Buffer.alloc(256);
    const at = writeUsername(into, beginStun(into, STUN_BINDING_REQUEST, TRANSACTION), Buffer.from('a:b'));
    const signed = finishStun(into, at, keyOf('secret')) - 8;
    const end = finishStun(into, writePriority(into, writeUseCandidate(into, signed), 9), undefined);
    const message = parsed(into.subarray(0, end))!;
    expect(message).toMatchObject({ useCandidate: false, priority: -1, hasFingerprint: true });
    expect(isIntact(into, message, keyOf('secret'))).toBe(true);
  });

  test('attributes of a wrong size, or longer than the packet', () => {
    for (const attribute of [
      '00240002 0000 0000',
      '00250004 00000000',
      '80290004 00000000',
      '00080004 00000000',
    ]) {
      const body = bytes(attribute);
      const packet = Buffer.concat([REQUEST.subarray(0, 20), body]);
      packet.writeUInt16BE(body.length, 2);
      expect(parsed(packet)).toBeUndefined();
    }
    const endless = Buffer.concat([REQUEST.subarray(0, 20), bytes('0006ffff 61616161')]);
    endless.writeUInt16BE(8, 2);
    expect(parsed(endless)).toBeUndefined();
  });

  test('any octets are read without harm, and without being changed', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (body) => {
        const packet = Buffer.concat([REQUEST.subarray(0, 20), body]);
        packet.writeUInt16BE(body.length, 2);
        const before = Buffer.from(packet);
        const message = parsed(packet);
        if (message !== undefined) isIntact(packet, message, keyOf('secret'));
        expect(packet).toEqual(before);
      }),
    );
  });
});

test('the checksum is the one of zlib', () => {
  expect(crc32(Buffer.from('123456789'), 9)).toBe(0xcbf43926);
});
