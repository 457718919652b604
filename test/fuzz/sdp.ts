import { isDeepStrictEqual } from 'node:util';
import { seededRandom } from '../../src/base/index.ts';
import {
  type AudioDescription,
  acceptCryptoAnswer,
  answerCrypto,
  audioOf,
  audiosOf,
  buildAnswer,
  buildOffer,
  chooseProtection,
  KEY_SALT_LENGTH,
  offerCrypto,
  parseSdp,
  reviseVersion,
  roleForAnswer,
  SDP_LIMITS,
  type SessionDescription,
  selectCodecs,
  serializeSdp,
  suiteOrder,
} from '../../src/sdp/index.ts';
import { realOffers } from '../support/browser-sdp.ts';
import { type FuzzTarget, mustHold } from './target.ts';

const KEY = 'WnD7c1ksDGs+dIefCEo8omPg4uO8DYIinNGL5yxQ';
const SEEDS = [
  `v=0\r\no=- 3873461242 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\na=tool:baresip 1.0.0\r\nm=audio 43214 RTP/SAVP 96 0 8 101\r\nb=AS:125\r\na=rtpmap:96 opus/48000/2\r\na=fmtp:96 stereo=1;sprop-stereo=1\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=rtcp:43215\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:${KEY}|2^20|1:4\r\na=crypto:2 AES_CM_128_HMAC_SHA1_80 inline:${KEY}\r\na=sendrecv\r\na=ptime:20\r\n`,
  `v=0\no=Cisco 24823 0 IN IP6 2001:db8::5\ns=SIP Call\nc=IN IP6 2001:db8::5\nt=0 0\na=inactive\nm=audio 17214 RTP/AVP 9 0 18 101\na=rtpmap:101 telephone-event/8000\nm=video 17216 RTP/AVP 97\na=rtpmap:97 H264/90000\n`,
  `v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111 126\r\nc=IN IP4 0.0.0.0\r\na=rtcp:9 IN IP4 0.0.0.0\r\na=ice-ufrag:cjlL\r\na=fingerprint:sha-256 AB:CD\r\na=mid:0\r\na=rtcp-mux\r\na=rtpmap:111 opus/48000/2\r\na=rtpmap:126 telephone-event/8000\r\n`,
  ...realOffers.map(([, sdp]) => sdp),
].map((text) => Buffer.from(text, 'latin1'));

const random = seededRandom(1);
const ourCrypto = offerCrypto(suiteOrder('app'), random);
const local = {
  sessionId: '1',
  version: '1',
  address: '192.0.2.9',
  family: 4 as const,
  port: 20_000,
  rtcpPort: 20_001,
  rtcpMux: true,
  direction: 'sendrecv' as const,
};

/** Reading, all that is asked of a description, and an answer to it. */
export function checkSdp(input: Uint8Array): void {
  const parsed = parseSdp(Buffer.from(input).toString('latin1'));
  if (!parsed.ok) {
    mustHold(parsed.error.message.length < 300, 'a problem is told in one sentence');
    mustHold(!/[^\x20-\x7e…]/.test(parsed.error.message), 'a problem is told in printable characters');
    return;
  }
  const sd = parsed.value;
  mustHold(sd.media.length <= SDP_LIMITS.media, 'the number of m= lines is bounded');
  const again = reread(sd);
  mustHold(isDeepStrictEqual(reread(again), again), 'a description that we wrote stays as it is');
  // A line without formats is no syntax: written, it gets one.
  const isSound = sd.media.every((media) => media.formats.length > 0);
  mustHold(
    !isSound || isDeepStrictEqual(audiosOf(again), audiosOf(sd)),
    'writing changes nothing of the audio',
  );
  mustHold(
    reviseVersion(sd, sd).origin.version === sd.origin.version,
    'the same description has the same version',
  );
  for (const audio of audiosOf(sd)) {
    mustHold(audio.port <= 65_535 && audio.rtcpPort <= 65_535, 'ports are ports');
    mustHold(
      new Set(audio.codecs.map(({ payloadType }) => payloadType)).size === audio.codecs.length,
      'payload types are unique',
    );
    const protection = chooseProtection(audio, suiteOrder('app'), false);
    const taken = protection.ok && protection.value.kind === 'srtp' ? protection.value.taken : undefined;
    if (taken) {
      const octets = Buffer.from(taken.keySalt, 'base64').length;
      mustHold(octets === KEY_SALT_LENGTH[taken.suite], 'a key that is taken has its length');
    }
    const accepted = acceptCryptoAnswer(ourCrypto, audio.crypto);
    mustHold(
      accepted.ok || audio.crypto.length === 0 || accepted.error === 'bad_answer',
      'an answer with keys is not taken for plain',
    );
    const codecs = selectCodecs(audio.codecs, audio.codecs);
    const crypto = taken && answerCrypto(taken, random);
    const transport = protection.ok && protection.value.kind === 'dtls' ? ourTransport(audio) : {};
    const answer = reread(
      buildAnswer(sd, { ...local, ...transport, codecs, audio, ...(crypto && { crypto }) }),
    );
    const own = audioOf(answer);
    mustHold(
      audio.mid === undefined || own?.port === 0 || own?.mid === audio.mid,
      'an answer names its line as the offer did',
    );
    mustHold(
      bundlesOf(answer).every((mids) => mids.length === 1 && mids[0] === audio.mid),
      'an answer groups nothing but the line that it takes',
    );
    mustHold(answer.media.length === sd.media.length, 'an answer has the lines of its offer');
    mustHold(
      answer.media.every((media, at) => media.port === 0 || at === audio.index),
      'an answer refuses all other lines',
    );
  }
  const offer = reread(
    buildOffer({ ...local, codecs: [], crypto: ourCrypto, optionalSrtp: false, previous: sd }),
  );
  mustHold(
    offer.media.length >= sd.media.length && audioOf(offer)?.port === 20_000,
    'a new offer keeps the lines',
  );
}

const bundlesOf = ({ attributes }: SessionDescription): string[][] =>
  attributes.filter(({ name }) => name === 'group').map(({ value = '' }) => value.split(' ').slice(1));

function ourTransport({ dtls, ice }: AudioDescription) {
  mustHold(dtls !== undefined && dtls.fingerprints.length > 0, 'DTLS is taken with a fingerprint only');
  const setup = roleForAnswer(dtls!, undefined);
  mustHold(ice === undefined || (ice.candidates.length <= 64 && ice.ufrag.length <= 256), 'ICE is bounded');
  return {
    dtls: { fingerprint: dtls!.fingerprints[0]!, setup },
    ...(ice && { ice: { ufrag: 'ours', password: 'p'.repeat(22) } }),
  };
}

function reread(sd: SessionDescription): SessionDescription {
  const again = parseSdp(serializeSdp(sd));
  mustHold(again.ok || again.error.code === 'too_long', 'what was written can be read');
  return again.ok ? again.value : sd;
}

export const sdpTargets: readonly FuzzTarget[] = [{ name: 'sdp-body', seeds: () => SEEDS, run: checkSdp }];
