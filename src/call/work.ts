import type { LegId } from '../base/index.ts';
import type { Call, Leg } from './model.ts';
import type { CallCommand, CallContext } from './types.ts';

/** One step under way: a copy of the call that may be changed, and what shall be carried out once it is committed. */
export interface Work {
  readonly call: Call;
  readonly ctx: CallContext;
  readonly commands: CallCommand[];
}

/** As deep as a step changes things; everything below is replaced, never changed. */
export function copyOf(call: Call): Call {
  return {
    ...call,
    legs: call.legs.map((leg) => ({
      ...leg,
      clients: leg.clients.map((client) => ({ ...client })),
      servers: leg.servers.map((server) => ({ ...server })),
      media: { ...leg.media },
    })),
    queue: [...call.queue],
    lookups: [...call.lookups],
    reports: [...call.reports],
    appliedCommandIds: [...call.appliedCommandIds],
  };
}

/** Who waits for an answer, or did. */
export const callerLeg = (call: Call): Leg => call.legs[0]!;

/** Devices are looked for, or ring. */
export const isRinging = ({ state }: Call): boolean =>
  state === 'routing' || state === 'calling' || state === 'ringing';

/** Who waits has been answered before: what rings now rings for a transfer, or rings back from one. */
export const isTransferred = (call: Call): boolean => callerLeg(call).state === 'confirmed';

/** Whose INVITE began the call. */
export const invitingLeg = (call: Call): Leg =>
  call.legs.find(({ role }) => role === 'caller') ?? callerLeg(call);

export const legById = (call: Call, id: LegId): Leg | undefined => call.legs.find((leg) => leg.id === id);

const isLive = (leg: Leg): boolean => leg.state !== 'ending' && leg.state !== 'ended';

export const liveCallees = (call: Call): Leg[] =>
  call.legs.filter((leg) => isCallee(call, leg) && isLive(leg));

/** The device that has answered. */
export const answeredCallee = (call: Call): Leg | undefined =>
  call.legs.find((leg) => isCallee(call, leg) && (leg.state === 'answered' || leg.state === 'confirmed'));

/** Whoever is not waiting, and has not stepped aside for somebody else. */
const isCallee = (call: Call, leg: Leg): boolean => leg !== callerLeg(call) && leg.transfer === undefined;

/** The other end of an established call, or of one that rings a single device. */
export function peerOf(call: Call, leg: Leg): Leg | undefined {
  if (leg.transfer !== undefined) return undefined;
  if (leg !== callerLeg(call)) return callerLeg(call);
  const answered = answeredCallee(call);
  if (answered !== undefined) return answered;
  const live = liveCallees(call);
  return live.length === 1 ? live[0] : undefined;
}
