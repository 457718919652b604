import { BUNDLE_ID_LENGTH, type BundleId } from '../base/index.ts';
import type { StreamCodec, StreamSpec } from '../media/index.ts';
import { holdMusicOn, ringbackOn } from './hold-music.ts';
import type { Leg, LegMedia } from './model.ts';
import { DEFAULT_PACKET_MS, packetMsFor } from './packet-time.ts';
import { dtlsTermsOf } from './webrtc.ts';
import type { Work } from './work.ts';

/** Asks media for what the leg's stream shall be now. */
export function putStream(work: Work, leg: Leg): void {
  const { media } = leg;
  if (media.stream === undefined || media.closed) return;
  const at = work.commands.findIndex(
    (command) => command.type === 'media-put' && command.stream.id === media.stream,
  );
  if (at >= 0) work.commands.splice(at, 1);
  const { opened, renewal } = media;
  work.commands.push({
    type: 'media-put',
    stream: streamSpec(work, leg, media.stream),
    ...(opened === undefined || renewal?.ready === false
      ? {}
      : { opened: { address: opened.address, port: opened.port } }),
  });
}

function streamSpec(work: Work, leg: Leg, id: StreamSpec['id']): StreamSpec {
  // What takes a lost one's place is a bare port until the peer knows of it: the keys in the call are the lost one's.
  const media = leg.media.renewal === undefined ? leg.media : bare(leg.media);
  const dtls = dtlsTermsOf(leg.media);
  const packetMs = packetMsFor(media.packetTimes ?? {});
  const plays =
    leg.media.renewal === undefined ? (ringbackOn(work, leg) ?? holdMusicOn(work, leg)) : undefined;
  return {
    id,
    call: work.call.id,
    bundle: work.ctx.token.slice(0, BUNDLE_ID_LENGTH) as BundleId,
    // The switch writes the epoch under which it carries the command out: an adopter's is higher.
    epoch: 0,
    family: media.family,
    ...(media.remoteAddress === undefined ? {} : { remote: media.remoteAddress }),
    // With ICE there is one component, whether the peer knows yet or not.
    rtcpMux: media.rtcpMux || media.ice !== undefined,
    direction: media.direction,
    ...(media.sendKey === undefined ? {} : { sendKey: media.sendKey }),
    ...(media.receiveKey === undefined ? {} : { receiveKey: media.receiveKey }),
    ...(media.receiveKeyKept === undefined ? {} : { receiveKeyKept: true }),
    ...(media.ice === undefined ? {} : { ice: media.ice }),
    ...(dtls === undefined ? {} : { dtls }),
    codecs: media.fax === undefined ? codecsAsWanted(media) : [],
    ...(packetMs === DEFAULT_PACKET_MS ? {} : { packetMs }),
    ...(media.voipMetrics === undefined ? {} : { voipMetrics: true }),
    ...(media.fax === undefined ? {} : { udptl: true }),
    ...(media.source === undefined ? {} : { source: media.source }),
    ...(media.endToEnd === undefined ? {} : { opaque: true }),
    ...(plays === undefined ? {} : { plays }),
  };
}

/** What is agreed says what we asked the peer for; what it is sent follows what it asks for. */
function codecsAsWanted({ codecs, wants }: LegMedia): readonly StreamCodec[] {
  if (wants === undefined) return codecs;
  return codecs.map((codec) => {
    const wanted = wants[codec.payloadType] ?? '';
    return wanted === (codec.fmtp ?? '') ? codec : { ...codec, wants: wanted };
  });
}

const bare = ({ family, sdpId, sdpVersion }: LegMedia): LegMedia => ({
  family,
  sdpId,
  sdpVersion,
  agreed: false,
  direction: 'inactive',
  codecs: [],
  rtcpMux: false,
  secureProfile: false,
});

/** Each hears the other. */
export function connectStreams(work: Work, one: Leg, other: Leg): void {
  if (other.media.stream !== undefined) one.media.source = other.media.stream;
  if (one.media.stream !== undefined) other.media.source = one.media.stream;
  putStream(work, one);
  putStream(work, other);
}
