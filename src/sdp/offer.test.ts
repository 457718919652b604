import { describe, expect, it } from 'vitest';
import { seededRandom } from '../base/index.ts';
import {
  answerCrypto,
  answerDirection,
  audioOf,
  buildAnswer,
  buildOffer,
  type Codec,
  chooseCrypto,
  type Direction,
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

describe('packet times and extended reports', () => {
  const audio = (...lines: string[]) => audioOf(session('m=audio 4000 RTP/AVP 0', ...lines));
  it('are read of the medium, VoIP metrics of the session too (RFC 8866 §6.4, RFC 3611 §5.1)', () => {
    expect(audio()).not.toHaveProperty('voipMetrics');
    expect(audio('a=ptime:30', 'a=maxptime:150')).toMatchObject({ ptimeMs: 30, maxptimeMs: 150 });
    expect(audio('a=rtcp-xr:')?.voipMetrics).toBe(false);
    expect(audio('a=rtcp-xr')?.voipMetrics).toBe(false);
    expect(audio('a=rtcp-xr:pkt-loss-rle=10 voip-metrics')?.voipMetrics).toBe(true);
    expect(audio('a=rtcp-xr:x-voip-metrics2')?.voipMetrics).toBe(false);
    expect(audioOf(session('a=rtcp-xr:voip-metrics', 'm=audio 4000 RTP/AVP 0'))?.voipMetrics).toBe(true);
  });

  it('are offered, and answered where the offer speaks of them', () => {
    const wishes = { ...local, ptimeMs: 20, maxptimeMs: 60, voipMetrics: true };
    const offer = buildOffer({ ...wishes, crypto: [], optionalSrtp: true });
    expect(audioOf(offer)).toMatchObject({ ptimeMs: 20, maxptimeMs: 60, voipMetrics: true });
    for (const [line, answered] of [
      ['a=rtcp-xr:', true],
      ['a=sendrecv', undefined],
    ] as const) {
      const theirs = session('m=audio 4000 RTP/AVP 0', line);
      const answer = buildAnswer(theirs, { ...wishes, audio: audioOf(theirs)! });
      expect(audioOf(answer)?.voipMetrics).toBe(answered);
    }
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
    expect(
      buildOffer({ ...local, crypto, optionalSrtp: false, profile: 'RTP/SAVPF' }).media[0]!.protocol,
    ).toBe('RTP/SAVPF');
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
