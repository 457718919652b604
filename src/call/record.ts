import { isAuxiliary } from '../sdp/index.ts';
import type { Call, Leg, LegMedia } from './model.ts';
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
  const { end } = call;
  return {
    v: 1,
    id: call.id,
    account: call.account,
    sessionId: call.sessionId,
    from: { user: call.caller.user, display: call.caller.display },
    to: { dialled: call.dialled, ...(call.target === undefined ? {} : { user: call.target.user }) },
    startedUtcMs: call.createdUtcMs,
    ...(call.answeredUtcMs === undefined ? {} : { answeredUtcMs: call.answeredUtcMs }),
    endedUtcMs: end?.utcMs ?? call.createdUtcMs,
    outcome: end?.outcome ?? 'failed',
    status: end?.status ?? 500,
    endedBy: end?.by ?? 'system',
    ...(end?.reason === undefined ? {} : { reason: end.reason }),
    directoryNumber: call.snapshotNumber,
    ...(call.origin === undefined ? {} : { origin: call.origin }),
    adoptions: call.adoptions,
    legs: call.legs.map((leg) => recordLeg(call, leg)),
  };
}

function recordLeg(call: Call, leg: Leg): CallRecordLeg {
  const { media } = leg;
  const codec = media.codecs.find((one) => !isAuxiliary(one));
  const report = call.reports.find(({ stream }) => stream === media.stream);
  return {
    role: leg.role,
    user: leg.user,
    transport: leg.flow.transport,
    ...leg.trunk,
    ...(media.agreed ? { srtp: protectionOf(media) } : {}),
    ...(media.agreed && codec !== undefined ? { codec: codec.name } : {}),
    ...(media.endToEnd === undefined ? {} : { endToEnd: true }),
    ...(report === undefined ? {} : { media: report }),
    ...(leg.silentForMs === undefined ? {} : { silentForMs: leg.silentForMs }),
  };
}

/** Of DTLS only media knows what the handshake chose; without its word there was none, or it was said to an owner that died. */
const protectionOf = ({ dtls, suite, sendKey }: LegMedia): string =>
  dtls === undefined ? (sendKey?.suite ?? 'plain') : (suite ?? 'DTLS');
