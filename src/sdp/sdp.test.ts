import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { seededRandom } from '../base/index.ts';
import {
  acceptCryptoAnswer,
  answerCrypto,
  answerDirection,
  audioOf,
  audiosOf,
  buildAnswer,
  buildOffer,
  type Codec,
  chooseCrypto,
  chooseProtection,
  type Direction,
  isHold,
  KEY_SALT_LENGTH,
  offerCrypto,
  parseSdp,
  reverseDirection,
  reviseVersion,
  type SessionDescription,
  selectCodecs,
  serializeSdp,
  suiteOrder,
} from './index.ts';

const random = seededRandom(7);
const pcmu: Codec = { payloadType: 0, name: 'pcmu', clockRateHz: 8000, channels: 1 };
const pcma: Codec = { payloadType: 8, name: 'pcma', clockRateHz: 8000, channels: 1 };
const opus: Codec = {
  payloadType: 96,
  name: 'opus',
  clockRateHz: 48_000,
  channels: 2,
  fmtp: 'useinbandfec=1',
};
const events: Codec = {
  payloadType: 101,
  name: 'telephone-event',
  clockRateHz: 8000,
  channels: 1,
  fmtp: '0-15',
};

const local = {
  sessionId: '1789',
  version: '1',
  address: '127.0.0.1',
  family: 4 as const,
  port: 20_000,
  rtcpPort: 20_001,
  rtcpMux: false,
  direction: 'sendrecv' as const,
  codecs: [pcmu, pcma, events],
};

const read = (text: string): SessionDescription => {
  const parsed = parseSdp(text);
  if (!parsed.ok) throw new Error(parsed.error.message);
  return parsed.value;
};
const session = (...lines: string[]): SessionDescription =>
  read(['v=0', 'o=- 1 1 IN IP4 192.0.2.1', 's=-', 'c=IN IP4 192.0.2.1', 't=0 0', ...lines, ''].join('\r\n'));

describe('what phones send', () => {
  it('baresip: SRTP under RTP/SAVP, 48 kHz first', () => {
    const audio = audioOf(
      read(
        [
          'v=0',
          'o=- 3873461242 3873461242 IN IP4 127.0.0.1',
          's=-',
          'c=IN IP4 127.0.0.1',
          't=0 0',
          'a=tool:baresip 1.0.0',
          'm=audio 43214 RTP/SAVP 96 0 8 101',
          'b=AS:125',
          'a=rtpmap:96 opus/48000/2',
          'a=fmtp:96 stereo=1;sprop-stereo=1',
          'a=rtpmap:0 PCMU/8000',
          'a=rtpmap:8 PCMA/8000',
          'a=rtpmap:101 telephone-event/8000',
          'a=fmtp:101 0-15',
          'a=rtcp:43215',
          'a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:WnD7c1ksDGs+dIefCEo8omPg4uO8DYIinNGL5yxQ',
          'a=sendrecv',
          'a=label:1',
          'a=rtcp-rsize',
          'a=ptime:20',
          '',
        ].join('\r\n'),
      ),
    );
    expect(audio).toEqual({
      index: 0,
      profile: 'RTP/SAVP',
      port: 43_214,
      address: '127.0.0.1',
      family: 4,
      rtcpPort: 43_215,
      rtcpMux: false,
      direction: 'sendrecv',
      codecs: [
        { payloadType: 96, name: 'opus', clockRateHz: 48_000, channels: 2, fmtp: 'stereo=1;sprop-stereo=1' },
        pcmu,
        pcma,
        events,
      ],
      crypto: [
        {
          tag: 1,
          suite: 'AES_CM_128_HMAC_SHA1_80',
          keySalt: 'WnD7c1ksDGs+dIefCEo8omPg4uO8DYIinNGL5yxQ',
          sessionParams: [],
        },
      ],
      ptimeMs: 20,
    });
  });

  it('a Cisco desk phone: static payload types without rtpmap, LF alone, IP6', () => {
    const audio = audioOf(
      read(
        'v=0\no=Cisco-SIPUA 24823 0 IN IP6 2001:db8::5\ns=SIP Call\nc=IN IP6 2001:db8::5\nt=0 0\n' +
          'm=audio 17214 RTP/AVP 9 0 18 101\na=rtpmap:101 telephone-event/8000\na=fmtp:101 0-15\na=sendrecv\n',
      ),
    )!;
    expect(audio.codecs.map((codec) => `${codec.name}/${codec.clockRateHz}`)).toEqual([
      'g722/8000',
      'pcmu/8000',
      'g729/8000',
      'telephone-event/8000',
    ]);
    expect([audio.address, audio.family, audio.rtcpPort]).toEqual(['2001:db8::5', 6, 17_215]);
  });

  it('Linphone: AVPF with keys for SRTP if possible, video beside it', () => {
    const key = Buffer.alloc(46, 5).toString('base64');
    const sd = session(
      'm=audio 7078 RTP/AVPF 96 0 101',
      'a=rtpmap:96 opus/48000/2',
      'a=rtpmap:101 telephone-event/48000',
      `a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:${Buffer.alloc(30, 3).toString('base64')}`,
      'a=crypto:2 AES_CM_128_HMAC_SHA1_32 inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj',
      `a=crypto:3 AES_256_CM_HMAC_SHA1_80 inline:${key}`,
      'a=rtcp-fb:* trr-int 5000',
      'm=video 9078 RTP/AVPF 97',
      'a=rtpmap:97 VP8/90000',
    );
    const audio = audioOf(sd)!;
    const protection = chooseProtection(audio, suiteOrder('app'), true);
    expect(protection).toEqual({
      ok: true,
      value: { kind: 'srtp', taken: { tag: 3, suite: 'AES_256_CM_HMAC_SHA1_80', keySalt: key } },
    });
  });

  it('Chromium: DTLS-SRTP is recognised, and is nothing for SDES', () => {
    const sd = session(
      'a=group:BUNDLE 0',
      'm=audio 9 UDP/TLS/RTP/SAVPF 111 63 9 0 8 13 110 126',
      'c=IN IP4 0.0.0.0',
      'a=rtcp:9 IN IP4 0.0.0.0',
      'a=ice-ufrag:cjlL',
      'a=ice-pwd:9aXr2Ahy0Ggt3cbwHkZxzQtf',
      'a=fingerprint:sha-256 AB:CD',
      'a=setup:actpass',
      'a=mid:0',
      'a=sendrecv',
      'a=rtcp-mux',
      'a=rtpmap:111 opus/48000/2',
      'a=fmtp:111 minptime=10;useinbandfec=1',
      'a=rtpmap:63 red/48000/2',
      'a=rtpmap:110 telephone-event/48000',
      'a=rtpmap:126 telephone-event/8000',
    );
    const audio = audioOf(sd)!;
    // With ICE, 0.0.0.0 is no hold.
    expect([audio.profile, audio.direction, audio.rtcpMux, audio.rtcpPort]).toEqual([
      'UDP/TLS/RTP/SAVPF',
      'sendrecv',
      true,
      9,
    ]);
    expect(chooseProtection(audio, suiteOrder('app'), false)).toEqual({ ok: false, error: 'dtls' });
  });

  it('an old phone holds with c=0.0.0.0 (RFC 3264 §8.4)', () => {
    const audio = audioOf(session('m=audio 4000 RTP/AVP 0', 'c=IN IP4 0.0.0.0'))!;
    expect(audio.direction).toBe('sendonly');
    expect(isHold(audio.direction)).toBe(true);
  });

  it('the direction of the session holds for a medium that says nothing', () => {
    expect(audioOf(session('a=inactive', 'm=audio 4000 RTP/AVP 0'))!.direction).toBe('inactive');
    expect(audioOf(session('a=inactive', 'm=audio 4000 RTP/AVP 0', 'a=recvonly'))!.direction).toBe(
      'recvonly',
    );
  });

  it('a secure and a plain line for the same audio: the first in use counts, both are shown', () => {
    const sd = session('m=audio 0 RTP/SAVP 0', 'm=audio 4002 RTP/AVP 0', 'm=audio 4004 TCP/MSRP *');
    expect(audiosOf(sd).map((audio) => audio.index)).toEqual([0, 1]);
    expect(audioOf(sd)!.port).toBe(4002);
    expect(audioOf(session('m=video 4002 RTP/AVP 99'))).toBeUndefined();
  });

  it('sloppy but clear: spaces, lines without CR, no s= and t=, no user name', () => {
    const sd = read(
      '\r\nv=0  \no=1 2 IN IP4 10.0.0.1\r\nc=IN  IP4 10.0.0.1/127\nm=audio 9000/2 RTP/AVP  8 \n\na=ptime:30.0',
    );
    expect(audioOf(sd)).toMatchObject({ address: '10.0.0.1', port: 9000, codecs: [pcma], ptimeMs: 30 });
    expect(serializeSdp(sd)).toContain('o=- 1 2 IN IP4 10.0.0.1\r\ns=-\r\nc=IN IP4 10.0.0.1\r\nt=0 0\r\n');
  });

  it('keeps the bytes of a text that is not ASCII', () => {
    expect(read('v=0\no=- 1 1 IN IP4 1.2.3.4\ns=voil\xc3\xa0\n').sessionName).toBe('voil\xc3\xa0');
  });
});

describe('what is no session description is named', () => {
  it.each([
    ['', 'not_sdp', 0],
    ['hello', 'bad_line', 1],
    ['v=1\r\n', 'not_sdp', 1],
    ['v=0\r\ns=-\r\n', 'bad_origin', 0],
    ['v=0\r\no=- x 1 IN IP4 1.2.3.4\r\n', 'bad_origin', 2],
    ['v=0\r\no=- 1 1 IN IP4 1.2.3.4\r\nc=IN IP5 x\r\n', 'bad_connection', 3],
    ['v=0\r\no=- 1 1 IN IP4 1.2.3.4\r\nm=audio 70000 RTP/AVP 0\r\n', 'bad_media', 3],
    ['v=0\r\no=- 1 1 IN IP4 1.2.3.4\r\nm=audio\r\n', 'bad_media', 3],
    ['v=0\r\no=- 1 1 IN IP4 1.2.3.4\r\nx\r\n', 'bad_line', 3],
    [`v=0\r\n${'a=x\r\n'.repeat(3000)}`, 'too_long', 2000],
    ['v=0\r\n'.padEnd(70_000, 'a'), 'too_long', 0],
  ])('%j', (text, code, line) => {
    const parsed = parseSdp(text);
    expect(parsed.ok ? parsed.value : [parsed.error.code, parsed.error.line]).toEqual([code, line]);
  });

  it('a message never shows a key', () => {
    const parsed = parseSdp('v=0\r\no=- 1 1 IN IP4 1.2.3.4\r\nacrypto=inline:SECRET');
    const first = parseSdp('a=crypto:1 AES inline:SECRET');
    expect(JSON.stringify([parsed, first])).not.toContain('SECRET');
  });
});

describe('codecs', () => {
  it('are those of both, in the order and with the payload types of the offer', () => {
    const offered: Codec[] = [{ ...opus, payloadType: 107 }, pcma, pcmu, { ...events, payloadType: 96 }];
    expect(selectCodecs(offered, [pcmu, opus, events])).toEqual([
      { ...opus, payloadType: 107 },
      pcmu,
      { ...events, payloadType: 96 },
    ]);
  });

  it('telephone events come with an audio codec of their clock alone', () => {
    const wide: Codec = { ...events, payloadType: 102, clockRateHz: 48_000 };
    expect(selectCodecs([opus, wide, events], [opus, wide, events])).toEqual([opus, wide]);
    expect(selectCodecs([events], [events])).toEqual([]);
    expect(selectCodecs([pcma, events], [pcmu, events])).toEqual([]);
  });

  it('AMR in its two packet formats is two codecs', () => {
    const amr = (fmtp?: string): Codec => ({
      payloadType: 97,
      name: 'amr',
      clockRateHz: 8000,
      channels: 1,
      ...(fmtp && { fmtp }),
    });
    expect(selectCodecs([amr('octet-align=1')], [amr()])).toEqual([]);
    expect(selectCodecs([amr('octet-align=1; mode-set=7')], [amr('octet-align=1')])).toHaveLength(1);
  });
});

describe('directions', () => {
  it.each<[Direction, Direction, Direction]>([
    ['sendrecv', 'sendrecv', 'sendrecv'],
    ['sendonly', 'sendrecv', 'recvonly'],
    ['recvonly', 'sendrecv', 'sendonly'],
    ['inactive', 'sendrecv', 'inactive'],
    ['sendrecv', 'sendonly', 'sendonly'],
    ['sendonly', 'sendonly', 'inactive'],
    ['recvonly', 'inactive', 'inactive'],
  ])('offered %s, wanted %s: answer %s', (offered, wanted, answer) => {
    expect(answerDirection(offered, wanted)).toBe(answer);
  });

  it('turn round', () => {
    expect((['sendrecv', 'sendonly', 'recvonly', 'inactive'] as const).map(reverseDirection)).toEqual([
      'sendrecv',
      'recvonly',
      'sendonly',
      'inactive',
    ]);
  });
});

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

describe('offers and answers', () => {
  it('an offer is written and read back', () => {
    const crypto = offerCrypto(suiteOrder('desk-256'), random);
    const offer = buildOffer({ ...local, crypto, optionalSrtp: false, ptimeMs: 20, rtcpPort: 30_000 });
    const text = serializeSdp(offer);
    expect(text).toMatch(
      /^v=0\r\no=- 1789 1 IN IP4 127\.0\.0\.1\r\ns=-\r\nc=IN IP4 127\.0\.0\.1\r\nt=0 0\r\nm=audio 20000 RTP\/SAVP 0 8 101\r\n/,
    );
    expect(read(text)).toEqual(offer);
    expect(audioOf(read(text))).toEqual({
      index: 0,
      profile: 'RTP/SAVP',
      port: 20_000,
      address: '127.0.0.1',
      family: 4,
      rtcpPort: 30_000,
      rtcpMux: false,
      direction: 'sendrecv',
      codecs: local.codecs,
      crypto: crypto.map((one) => ({ ...one, sessionParams: [] })),
      ptimeMs: 20,
    });
  });

  it('keys that a phone may leave aside stand under RTP/AVP', () => {
    const crypto = offerCrypto(suiteOrder('desk-128'), random);
    expect(buildOffer({ ...local, crypto, optionalSrtp: true }).media[0]!.protocol).toBe('RTP/AVP');
    expect(buildOffer({ ...local, crypto: [], optionalSrtp: false }).media[0]!.protocol).toBe('RTP/AVP');
    expect(buildOffer({ ...local, crypto, optionalSrtp: false, feedback: true }).media[0]!.protocol).toBe(
      'RTP/SAVPF',
    );
  });

  it('an answer mirrors every line of the offer and refuses all but the audio', () => {
    const key = Buffer.alloc(28, 3).toString('base64');
    const offer = session(
      'm=video 5000 RTP/AVP 97',
      'm=audio 4000 RTP/SAVP 0 101',
      'a=rtpmap:101 telephone-event/8000',
      `a=crypto:7 AEAD_AES_128_GCM inline:${key}`,
      'a=mid:foo',
      'a=rtcp-mux',
      'm=image 6000 udptl t38',
      'm=application 7000 TCP/BFCP *',
    );
    const audio = audioOf(offer)!;
    const taken = chooseCrypto(audio.crypto, suiteOrder('app'))!;
    const crypto = answerCrypto(taken, random);
    const codecs = selectCodecs(audio.codecs, local.codecs);
    const answer = read(serializeSdp(buildAnswer(offer, { ...local, rtcpMux: true, codecs, audio, crypto })));
    expect(
      answer.media.map((media) => `${media.kind} ${media.port} ${media.protocol} ${media.formats}`),
    ).toEqual([
      'video 0 RTP/AVP 97',
      'audio 20000 RTP/SAVP 0,101',
      'image 0 udptl t38',
      'application 0 TCP/BFCP *',
    ]);
    expect(audioOf(answer)!.rtcpMux).toBe(true);
    expect(audioOf(answer)!.crypto).toEqual([{ ...crypto, sessionParams: [] }]);
    expect([crypto.tag, crypto.suite]).toEqual([7, 'AEAD_AES_128_GCM']);
    expect(crypto.keySalt).not.toBe(key);
    expect(answer.media[1]!.attributes).toContainEqual({ name: 'mid', value: 'foo' });
  });

  it('one port for RTP and RTCP is agreed to only when it was offered (RFC 5761)', () => {
    const offer = session('m=audio 4000 RTP/AVP 0');
    const answer = buildAnswer(offer, {
      ...local,
      rtcpMux: true,
      rtcpPort: 20_000,
      codecs: [pcmu],
      audio: audioOf(offer)!,
    });
    expect(audioOf(answer)).toMatchObject({ rtcpMux: false, rtcpPort: 20_000 });
  });

  it('a new offer keeps the lines of the dialog in their places, and counts its version', () => {
    const offer = session('m=video 5000 RTP/AVP 97', 'm=audio 4000 RTP/AVP 0');
    const answer = buildAnswer(offer, { ...local, codecs: [pcmu], audio: audioOf(offer)! });
    const again = { ...local, codecs: [pcmu], crypto: [], optionalSrtp: false, previous: answer };
    expect(reviseVersion(answer, buildOffer(again)).origin.version).toBe('1');
    const hold = reviseVersion(answer, buildOffer({ ...again, direction: 'sendonly' }));
    expect(hold.origin).toMatchObject({ sessionId: '1789', version: '2' });
    expect(hold.media.map((media) => `${media.kind} ${media.port}`)).toEqual(['video 0', 'audio 20000']);
    expect(reviseVersion(JSON.parse(JSON.stringify(hold)), hold).origin.version).toBe('2');
  });

  it('versions may be larger than a number holds', () => {
    const previous = read('v=0\r\no=- 1 18446744073709551615 IN IP4 1.2.3.4\r\n');
    expect(reviseVersion(previous, { ...previous, sessionName: 'x' }).origin.version).toBe(
      '18446744073709551616',
    );
  });
});

describe('any text', () => {
  const word = fc.string({ unit: 'binary-ascii', maxLength: 30 });
  const line = fc.oneof(
    fc.tuple(fc.constantFrom(...'vosiuepcbtrzkam'), word).map(([type, value]) => `${type}=${value}`),
    fc.constantFrom(
      'v=0',
      'o=- 1 1 IN IP4 192.0.2.1',
      'c=IN IP4 192.0.2.1',
      'm=audio 4000 RTP/SAVP 0 8 96',
      'a=rtpmap:96 opus/48000/2',
      'a=fmtp:96 x=1',
      'a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:WnD7c1ksDGs+dIefCEo8omPg4uO8DYIinNGL5yxQ|2^20|1:4',
      'a=sendonly',
      'a=rtcp:9',
      'a=ptime:20',
    ),
    word,
  );

  it('gives a description or a problem, never an exception; what was read is read again the same', () => {
    fc.assert(
      fc.property(fc.array(line, { maxLength: 30 }), fc.constantFrom('\r\n', '\n'), (lines, end) => {
        const text = ['v=0', 'o=- 1 1 IN IP4 192.0.2.1', ...lines].join(end);
        const parsed = parseSdp(text);
        if (!parsed.ok) {
          expect(parsed.error.message).not.toBe('');
          return;
        }
        const again = read(serializeSdp(parsed.value));
        const essence = ({ media }: SessionDescription) =>
          media.map(({ fields: _, formats, ...rest }) => ({ ...rest, formats: formats.join(' ') || '0' }));
        expect(essence(again)).toEqual(essence(parsed.value));
        expect(again.attributes).toEqual(parsed.value.attributes);
        for (const audio of audiosOf(parsed.value)) {
          const codecs = selectCodecs(audio.codecs, local.codecs);
          const answer = buildAnswer(parsed.value, { ...local, codecs, audio });
          expect(read(serializeSdp(answer)).media).toHaveLength(parsed.value.media.length);
        }
      }),
      { numRuns: 500 },
    );
  });

  it('takes time in proportion to its length', () => {
    const costly = [
      `a=${' '.repeat(60_000)}x`,
      `a=crypto:${'1 '.repeat(30_000)}`,
      `a=rtpmap:0 ${'/'.repeat(60_000)}`,
      `a=fmtp:${'1'.repeat(60_000)}`,
      `m=audio 1 RTP/AVP${' 1'.repeat(30_000)}`,
      `c=IN IP4 ${'0.'.repeat(30_000)}`,
    ];
    for (const text of costly) {
      const body = `v=0\no=- 1 1 IN IP4 1.2.3.4\nc=IN IP4 1.2.3.4\nm=audio 9 RTP/SAVP 0\n${text}`;
      const started = performance.now();
      for (let i = 0; i < 5; i++) {
        const parsed = parseSdp(body);
        if (parsed.ok) audioOf(parsed.value);
      }
      expect(performance.now() - started, text.slice(0, 20)).toBeLessThan(500);
    }
  });
});
