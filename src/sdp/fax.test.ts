import { describe, expect, it } from 'vitest';
import { audioOf, buildAnswer, buildOffer, faxOf, parseSdp, serializeSdp } from './index.ts';

const offer = (...media: string[]): string =>
  ['v=0', 'o=- 1 1 IN IP4 192.0.2.1', 's=-', 'c=IN IP4 192.0.2.1', 't=0 0', ...media, ''].join('\r\n');
const read = (text: string) => {
  const parsed = parseSdp(text);
  if (!parsed.ok) throw new Error(parsed.error.message);
  return parsed.value;
};
const T38 = ['a=T38FaxVersion:0', 'a=T38MaxBitRate:14400', 'a=T38FaxUdpEC:t38UDPRedundancy'];
const AUDIO = ['m=audio 4000 RTP/AVP 0', 'a=rtpmap:0 PCMU/8000'];
const local = {
  sessionId: '7',
  version: '2',
  address: '198.51.100.1',
  family: 4,
  port: 20_000,
  rtcpPort: 20_001,
  rtcpMux: true,
  direction: 'sendrecv',
  codecs: [],
} as const;

describe('a fax line', () => {
  it('is read with what T.38 says of itself', () => {
    const fax = faxOf(read(offer('m=image 4002 udptl t38', 'c=IN IP4 192.0.2.9', 'a=sendrecv', ...T38)));
    expect(fax).toMatchObject({ index: 0, port: 4002, address: '192.0.2.9', family: 4 });
    expect(fax?.fax.map(({ name, value }) => `a=${name}:${value}`)).toEqual(T38);
  });

  it.each([
    'm=image 0 udptl t38',
    'm=image 4002 tcptl t38',
    'm=image 4002 udptl g3',
    'm=audio 4002 udptl t38',
  ])('%s is none', (line) => expect(faxOf(read(offer(line)))).toBeUndefined());

  it('is answered in its place, the audio beside it refused', () => {
    const sd = read(offer('m=audio 0 RTP/AVP 0', 'm=image 4002 UDPTL t38', ...T38));
    const fax = faxOf(sd)!;
    const text = serializeSdp(buildAnswer(sd, { ...local, audio: fax, fax: fax.fax }));
    expect(text.split('\r\n').slice(5)).toEqual([
      'm=audio 0 RTP/AVP 0',
      'm=image 20000 UDPTL t38',
      ...T38,
      '',
    ]);
  });

  it('takes the place of the audio in an offer, and gives it back', () => {
    const audio = audioOf(read(offer(...AUDIO)))!;
    const talk = buildOffer({ ...local, codecs: audio.codecs, crypto: [], optionalSrtp: true });
    const fax = buildOffer({
      ...local,
      crypto: [],
      optionalSrtp: true,
      fax: [{ name: 'T38FaxVersion', value: '0' }],
      previous: talk,
    });
    expect(fax.media.map(({ kind, port }) => `${kind} ${port}`)).toEqual(['image 20000']);
    expect(serializeSdp(fax)).toContain('m=image 20000 udptl t38\r\na=T38FaxVersion:0\r\n');
    const again = buildOffer({
      ...local,
      codecs: audio.codecs,
      crypto: [],
      optionalSrtp: true,
      previous: fax,
    });
    expect(again.media.map(({ kind, port }) => `${kind} ${port}`)).toEqual(['audio 20000']);
  });
});
