/**
 * A session description as plain data (RFC 8866). All text is a byte string, one character per byte, as SIP bodies are.
 * What we have no use for is kept, so that a description can be written again.
 */
export interface SessionDescription {
  readonly origin: Origin;
  readonly sessionName: string;
  /** The session's `c=`; each medium may have its own. */
  readonly connection?: Connection;
  /** Session lines other than v, o, s, c, a and m: `t=`, `b=`, `i=` … in their order. */
  readonly fields: readonly SdpField[];
  readonly attributes: readonly SdpAttribute[];
  readonly media: readonly MediaDescription[];
}

/** `o=`. Id and version are digits of any length (often NTP times above 2^53), hence text. */
export interface Origin {
  readonly username: string;
  readonly sessionId: string;
  readonly version: string;
  readonly family: 4 | 6;
  readonly address: string;
}

export interface Connection {
  readonly family: 4 | 6;
  /** Without `/ttl`. May be a host name, which nobody here resolves. */
  readonly address: string;
}

export interface SdpField {
  readonly type: string;
  readonly value: string;
}

/** `a=name` or `a=name:value`. */
export interface SdpAttribute {
  readonly name: string;
  readonly value?: string;
}

export interface MediaDescription {
  /** `audio`, `video`, `image` … in lower case. */
  readonly kind: string;
  /** 0: refused or not used (RFC 3264 §6). */
  readonly port: number;
  /** `RTP/AVP`, `RTP/SAVPF` … as it came. */
  readonly protocol: string;
  readonly formats: readonly string[];
  readonly connection?: Connection;
  /** `i=`, `b=`, `k=`. */
  readonly fields: readonly SdpField[];
  readonly attributes: readonly SdpAttribute[];
}

/** What makes a body unusable, in words for a log or a Warning header (RFC 3261 §20.43). */
export interface SdpProblem {
  readonly code: 'too_long' | 'not_sdp' | 'bad_origin' | 'bad_connection' | 'bad_media' | 'bad_line';
  /** Counted from 1; 0 for the body as a whole. */
  readonly line: number;
  readonly message: string;
}

export const attributeOf = (
  holder: { readonly attributes: readonly SdpAttribute[] },
  name: string,
): SdpAttribute | undefined => holder.attributes.find((attribute) => attribute.name === name);
