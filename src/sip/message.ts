/**
 * A SIP message as plain data (RFC 3261 §7). All text is a *byte string*: one character per byte (latin1), so that what
 * came in leaves unchanged whatever its charset, and so that a message is JSON. Rims that show text to people decode UTF-8.
 */
export type SipMessage = SipRequest | SipResponse;

export interface SipHeader {
  /** The canonical long form (`Via`, `Call-ID`, `CSeq`), whatever form or case came in. */
  readonly name: string;
  /** Unfolded, without surrounding white space. A header that lists several values is kept as it came. */
  readonly value: string;
}

export interface SipRequest {
  readonly kind: 'request';
  readonly method: string;
  /** The Request-URI as it came. */
  readonly uri: string;
  readonly headers: readonly SipHeader[];
  readonly body: string;
}

export interface SipResponse {
  readonly kind: 'response';
  readonly status: number;
  readonly reason: string;
  readonly headers: readonly SipHeader[];
  readonly body: string;
}
