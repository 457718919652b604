import type { StreamReport } from '../media/index.ts';
import { isAuxiliary } from '../sdp/index.ts';
import type { Call, Leg, LegMedia } from './model.ts';
import { callQuality, legQuality } from './quality.ts';
import type { CallRecord, CallRecordLeg } from './types.ts';

/** How a final status reads in a report. */
export function outcomeOf(status: number): string {
  switch (status) {
    case 486:
    case 600:
      return 'busy';
    case 480:
    case 408:
      return 'no-answer';
    case 603:
    case 607:
      return 'declined';
    case 487:
      return 'cancelled';
    default:
      return status < 300 ? 'answered' : 'failed';
  }
}

/** The one record of an ended call. */
export function recordOf(call: Call): CallRecord {
  const { end, answeredUtcMs } = call;
  const endedUtcMs = end?.utcMs ?? call.createdUtcMs;
  const talkMs = answeredUtcMs === undefined ? undefined : Math.max(0, endedUtcMs - answeredUtcMs);
  // Of an early announcement that nobody answered there is no call to rate.
  const quality = talkMs === undefined ? undefined : callQuality(reportsOf(call), talkMs);
  return {
    v: 1,
    id: call.id,
    account: call.account,
    sessionId: call.sessionId,
    from: { user: call.caller.user, display: call.caller.display },
    to: { dialled: call.dialled, ...(call.target === undefined ? {} : { user: call.target.user }) },
    direction: directionOf(call),
    startedUtcMs: call.createdUtcMs,
    ...(answeredUtcMs === undefined ? {} : { answeredUtcMs }),
    endedUtcMs,
    ...(talkMs === undefined ? {} : { talkMs }),
    outcome: end?.outcome ?? 'failed',
    status: end?.status ?? 500,
    endedBy: end?.by ?? 'system',
    ...(end?.reason === undefined ? {} : { reason: end.reason }),
    directoryNumber: call.snapshotNumber,
    ...(call.origin === undefined ? {} : { origin: call.origin }),
    ...(call.transfers === undefined ? {} : { transfers: call.transfers }),
    adoptions: call.adoptions,
    legs: call.legs.map((leg) => recordLeg(call, leg, talkMs)),
    ...(quality === undefined ? {} : { quality }),
  };
}

/** PH-QOS-02: a leg to or from a carrier would make it inbound or outbound. */
const directionOf = (_: Call): CallRecord['direction'] => 'internal';

/** Of the legs that talked. */
const reportsOf = (call: Call): StreamReport[] =>
  call.legs.flatMap(({ media }) => call.reports.find(({ stream }) => stream === media.stream) ?? []);

function recordLeg(call: Call, leg: Leg, talkMs: number | undefined): CallRecordLeg {
  const { media } = leg;
  const codec = media.codecs.find((one) => !isAuxiliary(one));
  const report = call.reports.find(({ stream }) => stream === media.stream);
  const quality = talkMs === undefined ? undefined : legQuality(report, talkMs);
  return {
    role: leg.role,
    user: leg.user,
    device: leg.device,
    ...(leg.peer.userAgent === undefined ? {} : { userAgent: leg.peer.userAgent }),
    address: leg.flow.remote.address,
    sipCallId: leg.sipCallId,
    transport: leg.flow.transport,
    ...leg.trunk,
    ...(media.agreed ? { srtp: protectionOf(media) } : {}),
    ...(media.agreed && codec !== undefined ? { codec: codec.name } : {}),
    ...(media.fax === undefined ? {} : { fax: 't38' }),
    ...(media.endToEnd === undefined ? {} : { endToEnd: true }),
    ...(report === undefined ? {} : { media: report }),
    ...(quality === undefined ? {} : { quality }),
    ...(leg.silentForMs === undefined ? {} : { silentForMs: leg.silentForMs }),
    ...(leg.unheardForMs === undefined ? {} : { unheardForMs: leg.unheardForMs }),
    ...(leg.lostAudioForMs === undefined ? {} : { lostAudioForMs: leg.lostAudioForMs }),
    ...(leg.muteForMs === undefined ? {} : { muteForMs: leg.muteForMs }),
  };
}

/** Of DTLS only media knows what the handshake chose; without its word there was none, or it was said to an owner that died. */
const protectionOf = ({ dtls, suite, sendKey }: LegMedia): string =>
  dtls === undefined ? (sendKey?.suite ?? 'plain') : (suite ?? 'DTLS');
