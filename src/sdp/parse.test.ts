import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  audioOf,
  audiosOf,
  buildAnswer,
  type Codec,
  chooseProtection,
  isHold,
  parseSdp,
  type SessionDescription,
  selectCodecs,
  serializeSdp,
  suiteOrder,
} from './index.ts';

const pcmu: Codec = { payloadType: 0, name: 'pcmu', clockRateHz: 8000, channels: 1 };
const pcma: Codec = { payloadType: 8, name: 'pcma', clockRateHz: 8000, channels: 1 };
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

  it('Chromium: DTLS-SRTP is recognised, and a fingerprint that is none makes it unusable', () => {
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
