import type { StreamId } from '../../base/index.ts';
import type { StreamReport } from '../protocol.ts';
import type { NgReply } from './ng-client.ts';

/** Of the two ends of a stream's call in rtpengine: where its peer is, and where other streams are. */
export const OUTER = 'outer';
export const INNER = 'inner';

const RTP_HEADER_OCTETS = 12;

/** What rtpengine counts. Whatever it leaves out or says in another way counts nothing. */
export interface Figures {
  readonly packetsReceived: number;
  readonly packetsSent: number;
  readonly octetsReceived: number;
  readonly octetsSent: number;
  readonly errors: number;
  readonly packetsLost: number;
  readonly jitterMs: number;
}

export const NO_FIGURES: Figures = {
  packetsReceived: 0,
  packetsSent: 0,
  octetsReceived: 0,
  octetsSent: 0,
  errors: 0,
  packetsLost: 0,
  jitterMs: 0,
};

/** From the answer to `query` or `delete`. */
export function figuresIn(reply: NgReply): Figures {
  const received = rtpOf(reply, OUTER);
  // What came from the other streams is what went out to the peer.
  const sent = rtpOf(reply, INNER);
  const ssrc = entry(entry(reply, 'SSRC'), String(entry(received, 'SSRC') ?? ''));
  const jitters = ['average MOS', 'lowest MOS'].map((name) => numberIn(entry(ssrc, name), 'jitter'));
  return {
    ...countsOf(received, 'Received'),
    ...countsOf(sent, 'Sent'),
    errors: numberIn(entry(received, 'stats'), 'errors'),
    packetsLost: numberIn(ssrc, 'cumulative loss'),
    jitterMs: Math.max(...jitters),
  };
}

export const reportOf = (stream: StreamId, figures: Figures): StreamReport => ({
  stream,
  packetsReceived: figures.packetsReceived,
  packetsSent: figures.packetsSent,
  octetsReceived: figures.octetsReceived,
  octetsSent: figures.octetsSent,
  packetsLost: figures.packetsLost,
  jitterMs: figures.jitterMs,
  // It does not say why it dropped one.
  packetsRefused: { auth: 0, replay: 0, stranger: 0, malformed: figures.errors, unmapped: 0 },
  takenOver: 0,
});

function countsOf<Way extends 'Received' | 'Sent'>(
  rtp: unknown,
  way: Way,
): { [Name in `packets${Way}` | `octets${Way}`]: number } {
  const stats = entry(rtp, 'stats');
  const packets = numberIn(stats, 'packets');
  const octets = Math.max(0, numberIn(stats, 'bytes') - packets * RTP_HEADER_OCTETS);
  return { [`packets${way}`]: packets, [`octets${way}`]: octets } as {
    [Name in `packets${Way}` | `octets${Way}`]: number;
  };
}

const rtpOf = (reply: unknown, tag: string): unknown =>
  entry(entry(entry(entry(entry(entry(reply, 'tags'), tag), 'medias'), '0'), 'streams'), '0');

function entry(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null && Object.hasOwn(value, name)
    ? (value as Record<string, unknown>)[name]
    : undefined;
}

function numberIn(value: unknown, name: string): number {
  const found = entry(value, name);
  return typeof found === 'number' && Number.isFinite(found) && found > 0 ? found : 0;
}
