import { describe, expect, it } from 'vitest';
import { seededRandom } from '../base/index.ts';
import {
  acceptCryptoAnswer,
  audioOf,
  chooseCrypto,
  chooseProtection,
  KEY_SALT_LENGTH,
  offerCrypto,
  parseSdp,
  type SessionDescription,
  suiteOrder,
} from './index.ts';

const random = seededRandom(7);

const read = (text: string): SessionDescription => {
  const parsed = parseSdp(text);
  if (!parsed.ok) throw new Error(parsed.error.message);
  return parsed.value;
};
const session = (...lines: string[]): SessionDescription =>
  read(['v=0', 'o=- 1 1 IN IP4 192.0.2.1', 's=-', 'c=IN IP4 192.0.2.1', 't=0 0', ...lines, ''].join('\r\n'));

describe('SRTP keys', () => {
  const line = (suite: string, octets: number, rest = ''): string =>
    `a=crypto:4 ${suite} inline:${Buffer.alloc(octets, 9).toString('base64')}${rest}`;
  const offered = (...lines: string[]) => audioOf(session('m=audio 4000 RTP/AVP 0', ...lines))!;

  it('apps get 256 bits before 128, GCM before counter mode; desk phones 128 unless the site asks for more', () => {
    const all = offered(
      line('AES_CM_128_HMAC_SHA1_80', 30),
      line('AEAD_AES_128_GCM', 28),
      line('AES_256_CM_HMAC_SHA1_80', 46),
      line('AEAD_AES_256_GCM', 44),
    );
    const taken = (...order: Parameters<typeof suiteOrder>) =>
      chooseCrypto(all.crypto, suiteOrder(...order))?.suite;
    expect(taken('app')).toBe('AEAD_AES_256_GCM');
    expect(taken('trunk')).toBe('AEAD_AES_256_GCM');
    expect(taken('desk-128')).toBe('AES_CM_128_HMAC_SHA1_80');
    expect(taken('desk-128', true)).toBe('AES_256_CM_HMAC_SHA1_80');
    expect(taken('desk-256')).toBe('AES_256_CM_HMAC_SHA1_80');
    expect(taken('plain')).toBeUndefined();
  });

  it('a device that cannot do what the site asks for stays on 128 bits (PH-SEC-04)', () => {
    const { crypto } = offered(line('AES_CM_128_HMAC_SHA1_80', 30));
    expect(chooseCrypto(crypto, suiteOrder('desk-256'))?.suite).toBe('AES_CM_128_HMAC_SHA1_80');
  });

  it.each([
    ['short tags', line('AES_CM_128_HMAC_SHA1_32', 30)],
    ['short tags of GCM', line('AEAD_AES_256_GCM_8', 44)],
    ['a key that is too short', line('AEAD_AES_256_GCM', 43)],
    ['a key that is too long', line('AES_CM_128_HMAC_SHA1_80', 31)],
    ['an MKI', line('AES_CM_128_HMAC_SHA1_80', 30, '|2^20|1:4')],
    ['plain packets under another name', `${line('AES_CM_128_HMAC_SHA1_80', 30)} UNENCRYPTED_SRTP`],
    ['renewed keys', `${line('AES_CM_128_HMAC_SHA1_80', 30)} KDR=20`],
    ['no inline key', 'a=crypto:1 AES_CM_128_HMAC_SHA1_80 uri:https://x'],
    ['junk for a key', 'a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:%%%%'],
  ])('%s count as none', (_, only) => {
    const plain = offered(only);
    expect(chooseProtection(plain, suiteOrder('app'), false)).toEqual({ ok: true, value: { kind: 'plain' } });
    expect(chooseProtection(plain, suiteOrder('app'), true)).toEqual({
      ok: false,
      error: 'encryption_required',
    });
    const secure = audioOf(session('m=audio 4000 RTP/SAVP 0', only))!;
    expect(chooseProtection(secure, suiteOrder('app'), false)).toEqual({
      ok: false,
      error: 'no_common_suite',
    });
  });

  it('a lifetime, a window hint and an optional parameter are fine, and padding may be missing', () => {
    const { crypto } = offered(
      `a=crypto:12 AEAD_AES_256_GCM inline:${Buffer.alloc(44, 1).toString('base64').replace(/=+$/, '')}|2^31 WSH=128 -X=1`,
    );
    expect(crypto[0]).toMatchObject({ tag: 12, lifetime: '2^31', sessionParams: ['WSH=128', '-X=1'] });
    expect(chooseCrypto(crypto, suiteOrder('app'))).toEqual({
      tag: 12,
      suite: 'AEAD_AES_256_GCM',
      keySalt: Buffer.alloc(44, 1).toString('base64'),
    });
  });

  it('offers have a key of their own for each suite, of its length', () => {
    const lines = offerCrypto(suiteOrder('app'), random);
    expect(lines.map(({ tag, suite }) => `${tag} ${suite}`)).toEqual([
      '1 AEAD_AES_256_GCM',
      '2 AES_256_CM_HMAC_SHA1_80',
      '3 AEAD_AES_128_GCM',
      '4 AES_CM_128_HMAC_SHA1_80',
    ]);
    for (const { suite, keySalt } of lines) {
      expect(Buffer.from(keySalt, 'base64')).toHaveLength(KEY_SALT_LENGTH[suite]);
      expect(keySalt.length % 4).toBe(0);
    }
    expect(new Set(lines.map(({ keySalt }) => keySalt)).size).toBe(4);
  });

  it('an answer fits the line offered, even with a tag that is always 1', () => {
    const ours = offerCrypto(suiteOrder('app'), random);
    const answer = offered(
      `a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:${Buffer.alloc(30, 2).toString('base64')}`,
    );
    expect(acceptCryptoAnswer(ours, answer.crypto)).toEqual({
      ok: true,
      value: {
        suite: 'AES_CM_128_HMAC_SHA1_80',
        sendKeySalt: ours[3]!.keySalt,
        receiveKeySalt: Buffer.alloc(30, 2).toString('base64'),
      },
    });
    expect(acceptCryptoAnswer(ours, [])).toEqual({ ok: false, error: 'no_srtp' });
    const foreign = offered(line('AES_CM_128_HMAC_SHA1_32', 30));
    expect(acceptCryptoAnswer(ours, foreign.crypto)).toEqual({ ok: false, error: 'bad_answer' });
  });
});
