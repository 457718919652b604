import type { AudioDescription } from './audio.ts';
import type { SdpAttribute, SessionDescription } from './description.ts';

/** What T.38 says of itself beside the line (ITU-T T.38, Annex D): a dozen attributes as a rule. */
const MOST_ATTRIBUTES = 32;

/** A fax line as if it were audio without codecs: what it says of addresses and places is the same. */
export type FaxDescription = AudioDescription & { readonly fax: readonly SdpAttribute[] };

/** The first image line in use over UDPTL for T.38; undefined where there is none. */
export function faxOf(sd: SessionDescription): FaxDescription | undefined {
  for (const [index, media] of sd.media.entries()) {
    const isFax = media.kind === 'image' && media.protocol.toLowerCase() === 'udptl';
    if (!isFax || media.port === 0 || !media.formats.some((format) => format.toLowerCase() === 't38'))
      continue;
    const connection = media.connection ?? sd.connection;
    return {
      index,
      profile: 'RTP/AVP',
      port: media.port,
      address: connection?.address,
      family: connection?.family ?? sd.origin.family,
      rtcpPort: media.port,
      rtcpMux: false,
      direction: 'sendrecv',
      codecs: [],
      crypto: [],
      fax: media.attributes.filter(({ name }) => /^t38/i.test(name)).slice(0, MOST_ATTRIBUTES),
    };
  }
  return undefined;
}
