/** A dialog as plain data (RFC 3261 §12). All text is a byte string as in `SipMessage`. */
export interface Dialog {
  readonly role: 'uac' | 'uas';
  readonly state: 'early' | 'confirmed' | 'terminated';
  readonly callId: string;
  readonly localTag: string;
  /** Empty when the peer is of RFC 2543 and sent none (§12.1.1). */
  readonly remoteTag: string;
  /** The From value of requests that we send, without its tag: `"Ann" <sip:1001@example.com>`. */
  readonly localAddress: string;
  /** The To value of requests that we send, without its tag. */
  readonly remoteAddress: string;
  /** The CSeq number of the last request that we sent in it. */
  readonly localCseq: number;
  /** The highest CSeq number that came from the peer; absent before the first. */
  readonly remoteCseq?: number;
  /** The peer's Contact URI. */
  readonly remoteTarget: string;
  /** Route values in the order in which a request of ours visits them: `<sip:proxy;lr>`. */
  readonly routeSet: readonly string[];
}

/** What a request needs that is not the dialog's. */
export interface DialogRequest {
  readonly method: string;
  /** Our Via value, whole: `SIP/2.0/UDP host:port;branch=z9hG4bK…;rport`. */
  readonly via: string;
  /** Our Contact value; INVITE, UPDATE and SUBSCRIBE must have one. */
  readonly contact?: string;
  /** Further headers, after the ones that the dialog gives. */
  readonly headers?: readonly { readonly name: string; readonly value: string }[];
  readonly body?: string;
  readonly contentType?: string;
  readonly maxForwards?: number;
}
