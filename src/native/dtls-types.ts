import type { DtlsSrtpKeys } from './dtls-srtp.ts';

/** DTLS 1.2 (RFC 6347) with SRTP's keys (RFC 5764), by the OpenSSL of this process or Debian's. */
export interface DtlsLibrary {
  readonly name: 'process' | 'libssl';
  /** Our identity for any number of sessions. Throws Error that says what is wrong with certificate or key. */
  newContext(identity: DtlsIdentity): DtlsContext;
}

export interface DtlsIdentity {
  readonly certificatePem: string;
  readonly keyPem: string;
}

export interface DtlsContext {
  /** SHA-256 of our certificate, as in `a=fingerprint` (RFC 8122). */
  readonly fingerprint: string;
  /** Throws Error when OpenSSL has no memory, RangeError for terms that cannot be met. */
  open(terms: DtlsSessionTerms): DtlsSession;
  /** Sessions that are open go on. */
  free(): void;
}

export interface DtlsSessionTerms {
  /** `client` says the first word (`a=setup:active`). */
  readonly role: 'client' | 'server';
  /** Digests of the peer's certificate; the strongest hash that is named must match (RFC 8122 §5.1). At least one. */
  readonly fingerprints: readonly CertificateDigest[];
  /** A server only: the peer must first show that it reads at its address (RFC 6347 §4.2.1). Names the address. */
  readonly cookieFor?: string;
}

export interface CertificateDigest {
  readonly hash: DigestName;
  readonly digest: Uint8Array;
}

export type DigestName = 'sha-1' | 'sha-256' | 'sha-384' | 'sha-512';
export const DIGEST_LENGTHS: Readonly<Record<DigestName, number>> = {
  'sha-1': 20,
  'sha-256': 32,
  'sha-384': 48,
  'sha-512': 64,
};

export type DtlsState =
  | 'handshaking'
  | 'connected'
  /** The peer said close_notify. */
  | 'closed'
  | 'failed';

/**
 * One association. Whoever drives it sends what `takeDatagrams` gives after each call, and calls `handleTimeout` when `timeoutMs` is over.
 * Nothing that comes from a peer makes it throw.
 */
export interface DtlsSession {
  readonly state: DtlsState;
  /** Why it failed, for people. */
  readonly problem: string;
  /** It failed because the peer said so: a fatal alert. */
  readonly refused: boolean;
  /** A client's first flight. */
  start(): void;
  /** One datagram of the peer. What is no DTLS, or longer than any that we take, is ignored. */
  receive(datagram: Uint8Array, length: number): void;
  /** What is to be sent now, each at most 1,200 octets unless one record is longer. */
  takeDatagrams(): Uint8Array[];
  /** Until a flight is to be sent again, by the machine's clock; undefined: nothing is waited for. */
  timeoutMs(): number | undefined;
  handleTimeout(): void;
  /** Once connected; undefined before. */
  keys(): DtlsSrtpKeys | undefined;
  /** Queues a close_notify for the peer. */
  close(): void;
  free(): void;
}
