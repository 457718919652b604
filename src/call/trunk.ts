import type { AccountId, CallId, DeviceId, UserId } from '../base/index.ts';
import {
  escapeUser,
  fromUtf8,
  header,
  type SipHeader,
  type SipMessage,
  serializeNameAddr,
} from '../sip/index.ts';
import type { Call, MediaPolicy } from './model.ts';

/**
 * Calls between users of different data centres: a leg to the other one over its trunk, where the INVITE begins a call of its own. The two
 * calls share the Session-ID (RFC 7989). Both ends are ours, so a header of ours says which users are meant.
 */
const HEADER = 'Twinline-Call';
/** For an emergency call, whatever number it has become (RFC 7135). Believed only where a certificate stands for it. */
const EMERGENCY: SipHeader = { name: 'Resource-Priority', value: 'esnet.1' };

/** Between data centres audio is encrypted, with 256 bit and GCM first (PH-SEC-03, TR-MEDIA-05). */
export const TRUNK_POLICY: MediaPolicy = { profile: 'trunk', prefer256: true, encryptionRequired: true };

/** A leg's device where it leads to another data centre. */
export const trunkDevice = (dataCentre: string): DeviceId => `dc:${dataCentre}` as DeviceId;

/** What an INVITE of another data centre means. */
export interface TrunkCall {
  /** The call there. */
  readonly call: CallId;
  readonly account: AccountId;
  readonly caller: UserId;
  readonly callee: UserId;
}

/** Of the INVITE to another data centre: who calls whom, for machines and for people (RFC 3325). */
export function trunkHeaders(call: Call, domain: string): SipHeader[] {
  const { caller, target } = call;
  const values = { account: call.account, caller: caller.user, callee: target?.user ?? '' };
  const parameters = Object.entries(values).map(([name, value]) => `;${name}=${encodeURIComponent(value)}`);
  const identity = serializeNameAddr({
    displayName: fromUtf8(caller.display),
    uri: `sip:${escapeUser(fromUtf8(caller.extension))}@${domain}`,
    params: {},
  });
  return [
    { name: HEADER, value: encodeURIComponent(call.id) + parameters.join('') },
    { name: 'P-Asserted-Identity', value: identity },
    ...(call.emergency === true ? [EMERGENCY] : []),
  ];
}

const MAX_LENGTH = 1_024;

/** Undefined where it is none. Only for messages that came over a trunk: anybody could write it. */
export function readTrunkCall(message: SipMessage): TrunkCall | undefined {
  const value = header(message, HEADER);
  if (value === undefined || value.length > MAX_LENGTH) return undefined;
  const [id = '', ...parameters] = value.split(';').map((part) => part.trim());
  const said = new Map(
    parameters.map((part): [string, string] => {
      const at = part.indexOf('=');
      return [part.slice(0, at), part.slice(at + 1)];
    }),
  );
  try {
    const [call, account, caller, callee] = [
      id,
      ...['account', 'caller', 'callee'].map((name) => said.get(name) ?? ''),
    ].map(decodeURIComponent);
    if (!call || !account || !caller || !callee) return undefined;
    return {
      call: call as CallId,
      account: account as AccountId,
      caller: caller as UserId,
      callee: callee as UserId,
    };
  } catch {
    // A percent sign that escapes nothing.
    return undefined;
  }
}

export const isMarkedEmergency = (message: SipMessage): boolean =>
  header(message, EMERGENCY.name)?.toLowerCase().startsWith('esnet.') === true;
