import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { checkSdp } from '../../test/fuzz/sdp.ts';
import { browserSdp, fingerprint, realOffers } from '../../test/support/browser-sdp.ts';
import {
  audioOf,
  buildAnswer,
  buildOffer,
  type Codec,
  chooseProtection,
  type DtlsDescription,
  parseSdp,
  parseTrickle,
  roleForAnswer,
  roleFromAnswer,
  type SessionDescription,
  serializeSdp,
  suiteOrder,
} from './index.ts';

const read = (text: string): SessionDescription => {
  const parsed = parseSdp(text);
  if (!parsed.ok) throw new Error(parsed.error.message);
  return parsed.value;
};
const pcmu: Codec = { payloadType: 0, name: 'pcmu', clockRateHz: 8000, channels: 1 };
const local = {
  sessionId: '1789',
  version: '1',
  address: '198.51.100.9',
  family: 4 as const,
  port: 20_000,
  rtcpPort: 20_001,
  rtcpMux: true,
  direction: 'sendrecv' as const,
  codecs: [pcmu],
  ice: { ufrag: 'ours', password: 'p'.repeat(24) },
  dtls: { fingerprint: { hash: 'sha-256', value: fingerprint('5A') }, setup: 'passive' as const },
};
const answerTo = (offer: string): string => {
  const sd = read(offer);
  return serializeSdp(buildAnswer(sd, { ...local, audio: audioOf(sd)! }));
};
const audio = (...lines: string[]) =>
  audioOf(read(['v=0', 'o=- 1 1 IN IP4 192.0.2.1', 's=-', 't=0 0', ...lines, ''].join('\r\n')))!;

describe('offers that browsers made', () => {
  it.each(realOffers)('%s: ICE, DTLS and names are read', (_, sdp) => {
    const offered = audioOf(read(sdp))!;
    const said = (name: string) => new RegExp(`^a=${name}:(.*?)\\r?$`, 'm').exec(sdp)?.[1];
    expect(offered).toMatchObject({
      profile: 'UDP/TLS/RTP/SAVPF',
      mid: said('mid'),
      rtcpMux: true,
      ice: { ufrag: said('ice-ufrag'), password: said('ice-pwd'), lite: false, options: ['trickle'] },
      dtls: { setup: 'actpass', fingerprints: [{ hash: 'sha-256', value: said('fingerprint')?.slice(8) }] },
    });
    expect(offered.codecs.some(({ name }) => name === 'opus')).toBe(true);
    expect(chooseProtection(offered, suiteOrder('plain'), true)).toMatchObject({ value: { kind: 'dtls' } });
  });

  it('names by mDNS and TCP are no candidates for us', () => {
    const offer = (name: string) => audioOf(read(realOffers.find(([one]) => one === name)![1]))!;
    expect(offer('chromium-mdns').ice?.candidates).toEqual([]);
    expect(offer('chromium-mdns').direction).toBe('sendrecv');
    const { candidates } = offer('libwebrtc-in-node').ice!;
    expect(candidates).toHaveLength(4);
    expect(candidates.every(({ component, type }) => component === 1 && type === 'host')).toBe(true);
  });

  it('video is refused in its place, and the group keeps the audio alone', () => {
    const [, offer] = realOffers.find(([name]) => name === 'chromium-audio-video')!;
    const answer = answerTo(offer);
    expect(answer).toMatch(/^a=ice-lite\r\na=group:BUNDLE 0\r\nm=audio 20000 UDP\/TLS\/RTP\/SAVPF 0\r\n/m);
    expect(answer).toMatch(/^m=video 0 UDP\/TLS\/RTP\/SAVPF [0-9 ]+\r\na=mid:1\r\n$/m);
    expect(answer).not.toMatch(/extmap|rtcp-fb|a=ssrc|rtcp-rsize/);
  });
});

describe('ours for browsers', () => {
  it('an answer says all that ICE, DTLS and the browser ask for', () => {
    expect(answerTo(browserSdp()).split('\r\n')).toEqual([
      'v=0',
      'o=- 1789 1 IN IP4 198.51.100.9',
      's=-',
      'c=IN IP4 198.51.100.9',
      't=0 0',
      'a=ice-lite',
      'a=group:BUNDLE 0',
      'm=audio 20000 UDP/TLS/RTP/SAVPF 0',
      'a=ice-ufrag:ours',
      'a=ice-pwd:pppppppppppppppppppppppp',
      'a=candidate:1 1 udp 2130706431 198.51.100.9 20000 typ host',
      'a=end-of-candidates',
      `a=fingerprint:sha-256 ${fingerprint('5A')}`,
      'a=setup:passive',
      'a=rtpmap:0 PCMU/8000',
      'a=rtcp-mux',
      'a=sendrecv',
      'a=msid:twinline audio',
      'a=mid:0',
      '',
    ]);
  });

  it('is read back as it was meant', () => {
    const offer = buildOffer({
      ...local,
      dtls: { ...local.dtls, setup: 'actpass', tlsId: 'a'.repeat(20) },
      crypto: [],
      optionalSrtp: false,
    });
    const again = audioOf(read(serializeSdp(offer)))!;
    expect(again).toMatchObject({
      mid: '0',
      ice: {
        ufrag: 'ours',
        lite: true,
        complete: true,
        candidates: [{ address: '198.51.100.9', port: 20_000, component: 1 }],
      },
      dtls: { setup: 'actpass', tlsId: 'a'.repeat(20) },
    });
    expect(serializeSdp(offer)).toContain('a=rtcp-mux\r\na=rtcp-mux-only\r\n');
  });

  it('a later offer keeps names and places', () => {
    const [, offer] = realOffers.find(([name]) => name === 'chromium-audio-video')!;
    const previous = read(
      answerTo(offer.replaceAll('a=mid:0', 'a=mid:sound').replace('BUNDLE 0', 'BUNDLE sound')),
    );
    const next = serializeSdp(buildOffer({ ...local, crypto: [], optionalSrtp: false, previous }));
    expect(next).toContain('a=group:BUNDLE sound\r\n');
    expect(next).toMatch(/a=mid:sound\r\nm=video 0 .*\r\na=mid:1\r\n$/);
  });
});

describe('the bundle', () => {
  const transport = [
    'a=ice-ufrag:abcd',
    `a=ice-pwd:${'x'.repeat(22)}`,
    `a=fingerprint:sha-256 ${fingerprint('AB')}`,
    'a=setup:actpass',
  ];

  it('a line that is only in the bundle has port 0, and is none the less wanted (RFC 9143 §6)', () => {
    const lines = ['m=audio 0 UDP/TLS/RTP/SAVPF 0', 'a=mid:a', 'a=bundle-only', 'a=rtcp-mux'];
    const video = ['m=video 9 UDP/TLS/RTP/SAVPF 96', 'c=IN IP4 0.0.0.0', 'a=mid:v', ...transport];
    const inGroup = audio('a=group:BUNDLE v a', ...video, ...lines);
    expect(inGroup).toMatchObject({ port: 9, ice: { ufrag: 'abcd' }, dtls: { setup: 'actpass' } });
    expect(audio(...video, ...lines).port).toBe(0);
    const offer = [
      'v=0',
      'o=- 1 1 IN IP4 192.0.2.1',
      's=-',
      't=0 0',
      'a=group:BUNDLE v a',
      ...video,
      ...lines,
    ];
    const answer = answerTo(`${offer.join('\r\n')}\r\n`);
    expect(answer).toContain('a=group:BUNDLE a\r\n');
    expect(answer).toMatch(/m=video 0 .*\r\na=mid:v\r\nm=audio 20000 /);
  });

  it('groups of other kinds are not answered, names that are none not read', () => {
    const offer = browserSdp().replace('a=group:BUNDLE 0', 'a=group:LS 0\r\na=group:BUNDLE 0 \u0001x');
    expect(answerTo(offer).match(/a=group.*/g)).toEqual(['a=group:BUNDLE 0']);
    expect(answerTo(browserSdp().replaceAll('a=mid:0', 'a=mid:'))).not.toContain('a=group');
  });
});

describe('DTLS', () => {
  const setup = (value: DtlsDescription['setup']): DtlsDescription => ({ fingerprints: [], setup: value });

  it('we are passive towards whoever may begin, active towards one that waits', () => {
    expect(roleForAnswer(setup('actpass'), undefined)).toBe('passive');
    expect(roleForAnswer(setup('active'), undefined)).toBe('passive');
    expect(roleForAnswer(setup(undefined), undefined)).toBe('passive');
    expect(roleForAnswer(setup('passive'), undefined)).toBe('active');
  });

  it('roles stay while the association does', () => {
    expect(roleForAnswer(setup('actpass'), 'active')).toBe('active');
    expect(roleForAnswer(setup('passive'), 'passive')).toBe('active');
  });

  it('an answer decides', () => {
    expect(roleFromAnswer(setup('active'))).toEqual({ ok: true, value: 'passive' });
    expect(roleFromAnswer(setup('passive'))).toEqual({ ok: true, value: 'active' });
    expect(roleFromAnswer(setup(undefined))).toEqual({ ok: true, value: 'active' });
    expect(roleFromAnswer(setup('actpass'))).toEqual({ ok: false, error: 'bad_answer' });
  });

  it('of several fingerprints the strong ones count; a weak one alone does', () => {
    const line = 'm=audio 9 UDP/TLS/RTP/SAVPF 0';
    const sha1 = `a=fingerprint:sha-1 ${Array(20).fill('0f').join(':')}`;
    const sha256 = `a=fingerprint:SHA-256 ${fingerprint('cd')}`;
    const sha384 = `a=fingerprint:sha-384 ${Array(48).fill('EE').join(':')}`;
    const md5 = `a=fingerprint:md5 ${Array(16).fill('01').join(':')}`;
    const hashes = (...lines: string[]) => audio(line, ...lines).dtls?.fingerprints.map(({ hash }) => hash);
    expect(hashes(sha1, sha256, md5, sha384)).toEqual(['sha-256', 'sha-384']);
    expect(hashes(sha1)).toEqual(['sha-1']);
    expect(hashes(md5)).toBeUndefined();
    expect(hashes('a=fingerprint:sha-256 AB:CD')).toBeUndefined();
    expect(audio(line, sha256).dtls?.fingerprints[0]?.value).toBe(fingerprint('CD'));
  });

  it('the session speaks for a medium that says nothing', () => {
    const sessionWide = audio(
      `a=fingerprint:sha-256 ${fingerprint('AB')}`,
      'a=setup:active',
      'a=ice-ufrag:abcd',
      `a=ice-pwd:${'x'.repeat(22)}`,
      'm=audio 9 UDP/TLS/RTP/SAVPF 0',
    );
    expect(sessionWide).toMatchObject({ dtls: { setup: 'active' }, ice: { ufrag: 'abcd' } });
  });

  it.each(['holdconn', 'both', ''])('a=setup:%s is as good as none', (value) => {
    const read = audio(
      'm=audio 9 UDP/TLS/RTP/SAVPF 0',
      `a=fingerprint:sha-256 ${fingerprint('AB')}`,
      `a=setup:${value}`,
    );
    expect(read.dtls?.setup).toBeUndefined();
  });

  it('under RTP/SAVPF keys come before a fingerprint, and a fingerprint alone is DTLS', () => {
    const dtls = [`a=fingerprint:sha-256 ${fingerprint('AB')}`, 'a=setup:actpass'];
    const crypto = `a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:${Buffer.alloc(30, 3).toString('base64')}`;
    const kind = (...lines: string[]) => {
      const chosen = chooseProtection(audio('m=audio 4000 RTP/SAVPF 0', ...lines), suiteOrder('app'), true);
      return chosen.ok ? chosen.value.kind : chosen.error;
    };
    expect(kind(...dtls, crypto)).toBe('srtp');
    expect(kind(...dtls)).toBe('dtls');
    expect(kind()).toBe('no_common_suite');
  });
});

describe('trickled candidates', () => {
  it('are read, and what is none passed over', () => {
    const body = [
      'a=ice-pwd:asd88fgpdd777uzjYhagZg',
      'a=ice-ufrag:8hhY',
      'm=audio 9 RTP/AVP 0',
      'a=mid:1',
      'a=candidate:1 1 UDP 1658497328 198.51.100.33 5000 typ host',
      'a=candidate:2 1 UDP 1658497328 some.local 5001 typ host',
      'a=candidate:3 1 TCP 1518214911 198.51.100.33 9 typ host tcptype active',
      'a=candidate:4 1 UDP 16584973280 198.51.100.33 0 typ host',
      'a=candidate:5 2 udp 1 2001:db8::1 5001 typ srflx raddr 10.0.0.1 rport 9',
      'a=end-of-candidates',
    ];
    expect(parseTrickle(body.join('\r\n'))).toEqual({
      ufrag: '8hhY',
      complete: true,
      candidates: [
        {
          foundation: '1',
          component: 1,
          priority: 1_658_497_328,
          address: '198.51.100.33',
          port: 5000,
          type: 'host',
        },
        { foundation: '5', component: 2, priority: 1, address: '2001:db8::1', port: 5001, type: 'srflx' },
      ],
    });
  });

  it.each([
    ['words', 'no fragment'],
    ['too long', 'a=x\r\n'.repeat(5_000)],
    ['too many lines', 'a=x\n'.repeat(300)],
  ])('%s are none', (_, body) => expect(parseTrickle(body)).toBeUndefined());

  it('never throws', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 400 }), (text) => {
        parseTrickle(text);
        parseTrickle(`a=candidate:${text}`);
      }),
    );
  });
});

describe('descriptions from hell', () => {
  const pieces = realOffers.flatMap(([, sdp]) => sdp.split('\r\n'));
  const head = ['v=0', 'o=- 1 1 IN IP4 192.0.2.1', 's=-', 't=0 0'];
  /** Lines of real offers in any order and number, some of them damaged. */
  const line = fc.oneof(
    { weight: 8, arbitrary: fc.constantFrom(...pieces) },
    {
      weight: 2,
      arbitrary: fc
        .tuple(fc.constantFrom(...pieces), fc.nat(60), fc.string({ maxLength: 12 }))
        .map(([text, at, put]) => text.slice(0, at) + put.replace(/[\r\n]/g, '') + text.slice(at)),
    },
    {
      weight: 1,
      arbitrary: fc.constantFrom('a=bundle-only', 'a=group:BUNDLE 0 0 1 1', 'a=mid:0', 'a=ice-lite'),
    },
  );

  it('are read, answered and read again', () => {
    fc.assert(
      fc.property(fc.array(line, { maxLength: 60 }), (lines) => {
        checkSdp(Buffer.from([...head, ...lines].join('\r\n'), 'latin1'));
      }),
      { numRuns: 400 },
    );
  });

  it('64 lines in 8 groups of 64 names are read in a moment', () => {
    const mids = Array.from({ length: 64 }, (_, at) => `m${at}`);
    const groups = Array(8).fill(`a=group:BUNDLE ${mids.join(' ')}`);
    const media = mids.flatMap((mid) => ['m=audio 9 UDP/TLS/RTP/SAVPF 0', `a=mid:${mid}`]);
    const text = [...head, ...groups, ...media, ''].join('\r\n');
    checkSdp(Buffer.from(text, 'latin1'));
    expect(audioOf(read(text))?.mid).toBe('m0');
  });
});
