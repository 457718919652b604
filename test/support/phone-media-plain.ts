import dgram from 'node:dgram';
import { audioOf, isHold, parseSdp } from '../../src/sdp/index.ts';
import type { PhoneMedia, PhoneMediaFactory } from './phone-types.ts';

/**
 * The least that signalling tests need: a real port, an SDP with PCMU and keypad events, the rules of hold. It sends no audio. A peer's
 * offer of SRTP alone is refused.
 */
export const plainMedia: PhoneMediaFactory = async ({ address }) => {
  const family = address.includes(':') ? 6 : 4;
  const socket = dgram.createSocket(family === 6 ? 'udp6' : 'udp4');
  await new Promise<void>((resolve, reject) => {
    socket.once('error', reject);
    socket.bind(0, address, () => resolve());
  });
  const { port } = socket.address();
  let packetsReceived = 0;
  let version = 0;
  let holding = false;
  let closed = false;
  let remote: { address: string | undefined; port: number } | undefined;
  socket.on('message', () => packetsReceived++);

  const describe = (direction: string): string =>
    [
      'v=0',
      `o=- ${port} ${++version} IN IP${family} ${address}`,
      's=-',
      `c=IN IP${family} ${address}`,
      't=0 0',
      `m=audio ${port} RTP/AVP 0 101`,
      'a=rtpmap:0 PCMU/8000',
      'a=rtpmap:101 telephone-event/8000',
      `a=${direction}`,
      '',
    ].join('\r\n');
  const take = (sdp: string) => {
    const parsed = parseSdp(sdp);
    if (!parsed.ok) throw new Error(`unreadable SDP: ${JSON.stringify(parsed.error)}`);
    const audio = audioOf(parsed.value);
    if (audio === undefined || audio.port === 0) throw new Error('the SDP has no audio in use');
    if (audio.profile !== 'RTP/AVP' || !audio.codecs.some(({ name }) => name === 'pcmu')) {
      throw new Error(`no plain PCMU in ${audio.profile}`);
    }
    remote = { address: audio.address, port: audio.port };
    return audio;
  };

  const media: PhoneMedia = {
    offer: () => describe(holding ? 'sendonly' : 'sendrecv'),
    answer(offerSdp) {
      const { direction } = take(offerSdp);
      // RFC 3264 §6.1; who holds and is held is inactive.
      const listens = !holding && direction !== 'recvonly' && direction !== 'inactive';
      const sends = !isHold(direction);
      return describe(sends ? (listens ? 'sendrecv' : 'sendonly') : listens ? 'recvonly' : 'inactive');
    },
    apply(answerSdp) {
      take(answerSdp);
    },
    hold(on) {
      holding = on;
    },
    close() {
      if (!closed) socket.close();
      closed = true;
    },
    stats: () => ({ port, packetsReceived, remote, closed }),
  };
  return media;
};
