import {
  attributeOf,
  type MediaDescription,
  type SdpAttribute,
  type SessionDescription,
} from './description.ts';

/** One side's half of ICE, as its description says it (RFC 8839). */
export interface IceDescription {
  readonly ufrag: string;
  readonly password: string;
  /** It answers checks and makes none (RFC 8445 §2.5). */
  readonly lite: boolean;
  /** `a=ice-options`: `trickle`, `ice2` … */
  readonly options: readonly string[];
  /** Those that can be used: UDP, an IP address. What else there is (TCP, names by mDNS) is left out. */
  readonly candidates: readonly IceCandidate[];
  /** `a=end-of-candidates` (RFC 8838 §13): no more will come. */
  readonly complete: boolean;
}

export interface IceCandidate {
  readonly foundation: string;
  /** 1: RTP, 2: RTCP. */
  readonly component: number;
  readonly priority: number;
  readonly address: string;
  readonly port: number;
  readonly type: 'host' | 'srflx' | 'prflx' | 'relay';
}

/** A browser with VPNs and containers has about 30; the rest is noise or an attack. */
const MAX_CANDIDATES = 64;
/** RFC 8839 §5.4: 4 to 256, and 22 to 256, of these. */
const UFRAG = /^[A-Za-z0-9+/]{4,256}$/;
const PASSWORD = /^[A-Za-z0-9+/]{22,256}$/;
/** RFC 8445 §5.1.2.1: type preference 126 (host), local preference 65535, component 1. */
const HOST_PRIORITY = 2_130_706_431;

type Holder = Pick<MediaDescription, 'attributes'>;

/** Undefined for a peer without ICE, or whose user fragment or password is none. `tagged`: the bundle's line that speaks for this one. */
export function iceOf(
  sd: SessionDescription,
  media: MediaDescription,
  tagged?: MediaDescription,
): IceDescription | undefined {
  const said = (name: string): string | undefined =>
    [media, tagged, sd].map((holder) => holder && attributeOf(holder, name)?.value).find((value) => value);
  const ufrag = said('ice-ufrag');
  const password = said('ice-pwd');
  if (ufrag === undefined || password === undefined) return undefined;
  if (!UFRAG.test(ufrag) || !PASSWORD.test(password)) return undefined;
  const holders: Holder[] = tagged === undefined ? [media, sd] : [media, tagged, sd];
  return {
    ufrag,
    password,
    lite: attributeOf(sd, 'ice-lite') !== undefined,
    options: (said('ice-options') ?? '').split(/[ \t]+/, 16).filter((option) => option !== ''),
    candidates: candidatesOf(media),
    complete: holders.some((holder) => attributeOf(holder, 'end-of-candidates') !== undefined),
  };
}

export function candidatesOf(media: Holder): IceCandidate[] {
  const found: IceCandidate[] = [];
  for (const { name, value } of media.attributes) {
    if (name !== 'candidate' || value === undefined || found.length === MAX_CANDIDATES) continue;
    const candidate = parseCandidate(value);
    if (candidate !== undefined) found.push(candidate);
  }
  return found;
}

/** RFC 8839 §5.1: `foundation component transport priority address port typ type …`. */
export function parseCandidate(value: string): IceCandidate | undefined {
  const parts =
    /^([A-Za-z0-9+/]{1,64}) +(\d{1,3}) +([A-Za-z-]{1,16}) +(\d{1,10}) +([0-9A-Fa-f:.]{2,45}) +(\d{1,5}) +typ +(host|srflx|prflx|relay)(?: |$)/.exec(
      value,
    );
  if (parts === null || parts[3]!.toUpperCase() !== 'UDP') return undefined;
  const [component, priority, port] = [Number(parts[2]), Number(parts[4]), Number(parts[6])];
  if (component < 1 || component > 256 || priority > 2 ** 31 - 1 || port === 0 || port > 65_535)
    return undefined;
  return {
    foundation: parts[1]!,
    component,
    priority,
    address: parts[5]!,
    port,
    type: parts[7] as IceCandidate['type'],
  };
}

/** Ours: lite, one address, no more to come (RFC 8839 §4.2.5, RFC 8838 §13). */
export function iceAttributes(
  credentials: { readonly ufrag: string; readonly password: string },
  place: { readonly address: string; readonly port: number },
): SdpAttribute[] {
  return [
    { name: 'ice-ufrag', value: credentials.ufrag },
    { name: 'ice-pwd', value: credentials.password },
    { name: 'candidate', value: `1 1 udp ${HOST_PRIORITY} ${place.address} ${place.port} typ host` },
    { name: 'end-of-candidates' },
  ];
}
