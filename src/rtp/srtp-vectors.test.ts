import { describe, expect, it } from 'vitest';
import { loadCiphers } from '../native/index.ts';
import { derive, deriveKeys, type SrtpSessionKeys, type SrtpSuite, SUITES } from './srtp-keys.ts';
import { createSrtpReceiver } from './srtp-receiver.ts';
import { createSrtpSender } from './srtp-sender.ts';

/** Published vectors, each through every cipher library that this machine has. */
const libraries = (['process', 'libcrypto', 'node'] as const).flatMap((name) => loadCiphers(name) ?? []);

const hex = (text: string): Buffer => Buffer.from(text.replace(/\s/g, ''), 'hex');

function sessionKeys(suite: SrtpSuite, key: string, salt: string): SrtpSessionKeys {
  const set = {
    key: hex(key),
    salt: hex(salt),
    auth: SUITES[suite].gcm ? Buffer.alloc(0) : Buffer.alloc(20, 1),
  };
  return { suite, rtp: set, rtcp: set };
}

const plainRtcp = hex(`81c8000d4d6172734e5450314e545032525450200000042a0000e930
  4c756e61deadbeefdeadbeefdeadbeefdeadbeefdeadbeef`);

const withRoom = (packet: Buffer): Buffer => Buffer.concat([packet, Buffer.alloc(32)]);

it('finds the OpenSSL inside Node', () => {
  expect(libraries.map((library) => library.name)).toContain('process');
});

describe.each(libraries)('with the ciphers of $name', (library) => {
  it('makes the key stream of RFC 3711 B.2', () => {
    const keys = sessionKeys(
      'AES_CM_128_HMAC_SHA1_80',
      '2B7E151628AED2A6ABF7158809CF4F3C',
      'F0F1F2F3F4F5F6F7F8F9FAFBFCFD',
    );
    expect(keyStream(keys).subarray(0, 48).toString('hex').toUpperCase()).toBe(
      'E03EAD0935C95E80E166B16DD92B4EB4D23513162B02D0F72A43A2FE4A5F97AB41E95B3BB0A2E8DD477901E4FCA894C0',
    );
    // The appendix goes on to block 0xff01.
    expect(
      keyStream(keys)
        .subarray(0xfeff * 16, 0xff02 * 16)
        .toString('hex')
        .toUpperCase(),
    ).toBe(
      'EC8CDF7398607CB0F2D21675EA9EA1E4362B7C3C6773516318A077D7FC5073AE6A2CC3787889374FBEB4C81B17BA6C44',
    );
  });

  it('makes the key stream of RFC 6188 §7.1', () => {
    const keys = sessionKeys(
      'AES_256_CM_HMAC_SHA1_80',
      '57f82fe3613fd170a85ec93c40b1f0922ec4cb0dc025b58272147cc438944a98',
      'f0f1f2f3f4f5f6f7f8f9fafbfcfd',
    );
    expect(keyStream(keys).subarray(0, 48).toString('hex')).toBe(
      '92bdd28a93c3f52511c677d08b5515a49da71b2378a854f67050756ded165bac63c4868b7096d88421b563b8c94c9a31',
    );
  });

  /** SSRC 0, index 0, zeros to encrypt: what comes out is the key stream. */
  function keyStream(keys: SrtpSessionKeys): Buffer {
    const packet = Buffer.alloc(12 + 0xff02 * 16 + 32);
    packet[0] = 0x80;
    const sealed = createSrtpSender(keys, library).protectRtp(packet, packet.length - 32);
    return packet.subarray(12, sealed - 10);
  }

  // The packet of libsrtp's self-test; the counter modes under the master keys of RFC 3711 B.3 and RFC 6188 §7.2.
  it.each([
    {
      suite: 'AES_CM_128_HMAC_SHA1_80' as const,
      key: 'E1F97A0D3E018BE0D64FA32C06DE41390EC675AD498AFEEBB6960B3AABE6',
      protectedPacket: '800f1234decafbadcafebabe 4e55dc4ce79978d88ca4d215949d2402 b78d6acc99ea179b8dbb',
    },
    {
      suite: 'AES_256_CM_HMAC_SHA1_80' as const,
      key: 'f0f04914b513f2763a1b1fa130f10e2998f6f6e43e4309d1e622a0e332b9f1b63b04803de51ee7c96423ab5b78d2',
      protectedPacket: '800f1234decafbadcafebabe f1d9de17ff251ff1aa007774b0b4b40d a08d9d9a5b3a55d8873b',
    },
    {
      // RFC 7714 gives no vector from a master key: this one shows how a salt of 96 bits enters the derivation.
      suite: 'AEAD_AES_128_GCM' as const,
      key: '000102030405060708090a0b0c0d0e0fa0a1a2a3a4a5a6a7a8a9aaab',
      protectedPacket:
        '800f1234decafbadcafebabe c5002ede04cfdd2eb91159e0880aa06e d2976826f796b201df3131a127e8a392',
    },
  ])('protects a packet under $suite as libsrtp does', ({ suite, key, protectedPacket }) => {
    const plain = hex(`800f1234decafbadcafebabe${'ab'.repeat(16)}`);
    const srtpKey = { suite, keySalt: hex(key).toString('base64') };
    const packet = withRoom(plain);
    const sealed = createSrtpSender(srtpKey, library).protectRtp(packet, plain.length);
    expect(packet.subarray(0, sealed).toString('hex')).toBe(hex(protectedPacket).toString('hex'));
    const opened = createSrtpReceiver(srtpKey, library).unprotectRtp(packet, sealed);
    expect(packet.subarray(0, opened).toString('hex')).toBe(plain.toString('hex'));
  });

  it('opens the RTCP packet of RFC 7714 §17.3 that is only authenticated', () => {
    const keys = sessionKeys(
      'AEAD_AES_128_GCM',
      '000102030405060708090a0b0c0d0e0f',
      '517569642070726f2071756f',
    );
    const packet = Buffer.concat([plainRtcp, hex('841dd9683dd78ec92ae58790125f62b3 000005d4')]);
    const opened = createSrtpReceiver(keys, library).unprotectRtcp(packet, packet.length);
    expect(packet.subarray(0, opened)).toEqual(plainRtcp);
  });

  describe.each([
    {
      suite: 'AEAD_AES_128_GCM' as const,
      key: '000102030405060708090a0b0c0d0e0f',
      srtp: `8040f17b8041f8d35501a0b2
        f24de3a3fb34de6cacba861c9d7e4bcabe633bd50d294e6f42a5f47a51c7d19b36de3adf8833
        899d7f27beb16a9152cf765ee4390cce`,
      srtcp: `81c8000d4d617273
        63e94885dcdab67ca727d7662f6b7e997ff5c0f76c06f32dc676a5f1730d6fda4ce09b4686303ded0bb9275b
        c84aa45896cf4d2fc5abf87245d9eade 800005d4`,
    },
    {
      suite: 'AEAD_AES_256_GCM' as const,
      key: '000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f',
      srtp: `8040f17b8041f8d35501a0b2
        32b1de78a822fe12ef9f78fa332e33aab18012389a58e2f3b50b2a0276ffae0f1ba63799b87b
        7aa3db36dfffd6b0f9bb7878d7a76c13`,
      srtcp: `81c8000d4d617273
        d50ae4d1f5ce5d304ba297e47d470c282c3ece5dbffe0a50a2eaa5c1110555be8415f658c61de0476f1b6fad
        1d1eb30c4446839f57ff6f6cb26ac3be 800005d4`,
    },
  ])('$suite, RFC 7714', ({ suite, key, srtp, srtcp }) => {
    const keys = sessionKeys(suite, key, '517569642070726f2071756f');
    const plainRtp = Buffer.concat([
      hex('8040f17b8041f8d35501a0b2'),
      Buffer.from('Gallia est omnis divisa in partes tres'),
    ]);

    it('protects and opens the RTP packet of §16', () => {
      const packet = withRoom(plainRtp);
      const sealed = createSrtpSender(keys, library).protectRtp(packet, plainRtp.length);
      expect(packet.subarray(0, sealed).toString('hex')).toBe(hex(srtp).toString('hex'));
      const opened = createSrtpReceiver(keys, library).unprotectRtp(packet, sealed);
      expect(packet.subarray(0, opened)).toEqual(plainRtp);
    });

    it('protects and opens the RTCP packet of §17', () => {
      const packet = withRoom(plainRtcp);
      const sender = createSrtpSender(keys, library);
      sender.rtcpIndex = 0x5d4;
      const sealed = sender.protectRtcp(packet, plainRtcp.length);
      expect(packet.subarray(0, sealed).toString('hex')).toBe(hex(srtcp).toString('hex'));
      const opened = createSrtpReceiver(keys, library).unprotectRtcp(packet, sealed);
      expect(packet.subarray(0, opened)).toEqual(plainRtcp);
    });
  });
});

describe('key derivation', () => {
  it('gives the keys of RFC 3711 B.3', () => {
    const keys = deriveKeys({
      suite: 'AES_CM_128_HMAC_SHA1_80',
      keySalt: hex('E1F97A0D3E018BE0D64FA32C06DE41390EC675AD498AFEEBB6960B3AABE6').toString('base64'),
    });
    expect(Buffer.from(keys.rtp.key).toString('hex')).toBe('c61e7a93744f39ee10734afe3ff7a087');
    expect(Buffer.from(keys.rtp.salt).toString('hex')).toBe('30cbbc08863d8c85d49db34a9ae1');
    const auth = derive(hex('E1F97A0D3E018BE0D64FA32C06DE4139'), hex('0EC675AD498AFEEBB6960B3AABE6'), 1, 94);
    expect(Buffer.from(auth).toString('hex')).toBe(
      hex(`CEBE321F6FF7716B6FD4AB49AF256A156D38BAA48F0A0ACF3C34E2359E6CDBCE
        E049646C43D9327AD175578EF72270986371C10C9A369AC2F94A8C5FBCDDDC25
        6D6E919A48B610EF17C2041E474035766B68642C59BBFC2F34DB60DBDFB2`).toString('hex'),
    );
    expect(keys.rtp.auth).toEqual(auth.subarray(0, 20));
  });

  it('gives the keys of RFC 6188 §7.2', () => {
    const { rtp } = deriveKeys({
      suite: 'AES_256_CM_HMAC_SHA1_80',
      keySalt: hex(
        'f0f04914b513f2763a1b1fa130f10e2998f6f6e43e4309d1e622a0e332b9f1b63b04803de51ee7c96423ab5b78d2',
      ).toString('base64'),
    });
    expect(Buffer.from(rtp.key).toString('hex')).toBe(
      '5ba1064e30ec51613cad926c5a28ef731ec7fb397f70a960653caf06554cd8c4',
    );
    expect(Buffer.from(rtp.salt).toString('hex')).toBe('fa31791685ca444a9e07c6c64e93');
    expect(Buffer.from(rtp.auth).toString('hex')).toBe('fd9c32d39ed5fbb5a9dc96b30818454d1313dc05');
  });

  it('refuses a key of the wrong length', () => {
    expect(() => deriveKeys({ suite: 'AEAD_AES_256_GCM', keySalt: 'AAAA' })).toThrow(TypeError);
  });
});
