import { createHash, createHmac, randomBytes, X509Certificate } from 'node:crypto';
import { bindDtls, type DtlsCallbacks, type DtlsCalls, profileId, registerCallbacks } from './dtls-calls.ts';
import { cutDatagrams } from './dtls-datagrams.ts';
import {
  type DtlsSrtpKeys,
  EXPORTER_LABEL,
  exportLength,
  PROFILE_NAMES,
  splitMaterial,
} from './dtls-srtp.ts';
import { addressOf } from './libc.ts';
import type { Address } from './openssl-calls.ts';

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
  /** A client's first flight. */
  start(): void;
  /** One datagram of the peer. What is no DTLS, or longer than any that we take, is ignored. */
  receive(datagram: Uint8Array, length: number): void;
  /** What is to be sent now, each at most `LONGEST_DATAGRAM` octets (plus what one record is longer). */
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

/** What leaves: passes every path that carries IPv6, with room for a tunnel or two. */
export const LONGEST_DATAGRAM = 1200;
/** Of what comes. */
const LONGEST_RECEIVED = 2048;
const LONGEST_CERTIFICATES = 32_768;
/**
 * RFC 6347 §4.2.4.1 says 1 s at first, for want of knowledge; real-time profiles wait less (libwebrtc 50 ms). A flight sent once
 * too often harms nobody.
 */
const FIRST_TIMEOUT_US = 100_000;
const LONGEST_TIMEOUT_US = 3_200_000;

let best: DtlsLibrary | undefined | null = null;

/** The OpenSSL that there is; undefined where neither Node shows its own nor libssl3 is installed. Decided once. */
export function dtlsLibrary(): DtlsLibrary | undefined {
  if (best === null) best = loadDtls('process') ?? loadDtls('libssl');
  return best;
}

/** One library in particular, for tests; undefined where it does not load. */
export function loadDtls(name: DtlsLibrary['name']): DtlsLibrary | undefined {
  try {
    const calls = bindDtls(name === 'process' ? null : 'libssl.so.3');
    return { name, newContext: (identity) => new Context(calls, identity) };
  } catch {
    return undefined;
  }
}

const NONE: Address = 0;
// Of <openssl/ssl.h>, <openssl/bio.h>; unchanged from 1.1.1 to 3.x.
const DTLS1_2 = 0xfefd;
const SET_MIN_VERSION = 123;
const SET_MAX_VERSION = 124;
const SET_MODE = 33;
const SET_SESSION_CACHE = 44;
const SET_MAX_CERTIFICATES = 51;
const SET_LINK_MTU = 120;
const SET_MAX_FRAGMENT = 52;
const GET_TIMEOUT = 73;
const HANDLE_TIMEOUT = 74;
const MODE_RELEASE_BUFFERS = 0x10;
const NO_QUERY_MTU = 1n << 12n;
const COOKIE_EXCHANGE = 1n << 13n;
const NO_TICKET = 1n << 14n;
const NO_COMPRESSION = 1n << 17n;
const SERVER_PREFERENCE = 1n << 22n;
const NO_RENEGOTIATION = 1n << 30n;
const VERIFY_PEER = 1;
const FAIL_WITHOUT_CERTIFICATE = 2;
const BIO_RESET = 1;
const BIO_PENDING = 10;
const WANT_READ = 2;
const ZERO_RETURN = 6;
/** Reasons from here on are alerts of the peer, by their numbers. */
const ALERT_REASONS = 1000;
const BAD_CERTIFICATE_ALERT = 42;
const FIRST_CONTENT_TYPE = 20;
const LAST_CONTENT_TYPE = 63;

/** TLS 1.2's suites with forward secrecy and AEAD; RFC 8827 §6.5 asks for the first. */
const CIPHERS = 'ECDHE+AESGCM:ECDHE+CHACHA20';

/*
 * The peer's certificate is checked by OpenSSL's DANE code (RFC 7671, DANE-EE(3) Cert(0)): that is just what a fingerprint in SDP is, a
 * digest of the end entity's certificate that stands for all of chain, names and dates. So no verify callback is needed, and
 * a wrong certificate never gets as far as keys.
 */
const DANE_EE = 3;
const DANE_CERTIFICATE = 0;
const NO_NAME_CHECKS = 1n;
/** Matching types 1 and 2 are registered, the others are of our own; the order is that of strength. */
const DANE_DIGESTS: Readonly<Record<DigestName, { readonly type: number; readonly strength: number }>> = {
  'sha-1': { type: 3, strength: 1 },
  'sha-256': { type: 1, strength: 2 },
  'sha-384': { type: 4, strength: 3 },
  'sha-512': { type: 2, strength: 4 },
};

/** Calls are synchronous, so one block serves all sessions of a thread. */
interface Room {
  readonly input: Uint8Array;
  readonly inputAt: Address;
  readonly output: Uint8Array;
  readonly outputAt: Address;
}

const INPUT_BYTES = 65_536;
const OUTPUT_BYTES = 65_536;
let room: Room | undefined;

function theRoom(): Room {
  if (room === undefined) {
    const block = new ArrayBuffer(INPUT_BYTES + OUTPUT_BYTES);
    const at = Number(addressOf(block));
    room = {
      input: new Uint8Array(block, 0, INPUT_BYTES),
      inputAt: at,
      output: new Uint8Array(block, INPUT_BYTES),
      outputAt: at + INPUT_BYTES,
    };
  }
  return room;
}

/** Puts a text where C can read it, until the next call. */
function cText(text: string, offset = 0): Address {
  const { input, inputAt } = theRoom();
  const bytes = Buffer.from(`${text}\0`, 'latin1');
  if (offset + bytes.length > input.length) throw new RangeError('a text for OpenSSL is too long');
  input.set(bytes, offset);
  return inputAt + offset;
}

/** The cookie of the session that is being driven. */
let presentCookie: Uint8Array = new Uint8Array(0);
let callbacks: DtlsCallbacks | undefined;

function theCallbacks(): DtlsCallbacks {
  callbacks ??= registerCallbacks({
    nextTimeoutUs: (timeoutUs) =>
      timeoutUs === 0 ? FIRST_TIMEOUT_US : Math.min(2 * timeoutUs, LONGEST_TIMEOUT_US),
    cookie: () => presentCookie,
  });
  return callbacks;
}

/** What lies outside the JavaScript heap, freed when its owner was forgotten without `free`. */
interface Handle {
  address: Address;
  readonly release: (address: Address) => void;
}
const dropped = new FinalizationRegistry<Handle>(releaseHandle);
function releaseHandle(handle: Handle): void {
  if (handle.address !== NONE) handle.release(handle.address);
  handle.address = NONE;
}
function newHandle(owner: object, address: Address, release: (address: Address) => void): Handle {
  const handle = { address, release };
  dropped.register(owner, handle, handle);
  return handle;
}
function freeHandle(handle: Handle): void {
  dropped.unregister(handle);
  releaseHandle(handle);
}

class Context implements DtlsContext {
  readonly fingerprint: string;
  readonly #calls: DtlsCalls;
  readonly #handle: Handle;
  readonly #cookieSecret = randomBytes(32);

  constructor(calls: DtlsCalls, { certificatePem, keyPem }: DtlsIdentity) {
    this.#calls = calls;
    this.fingerprint = fingerprintOf(certificatePem);
    calls.clearErrors();
    this.#handle = newHandle(this, calls.contextNew(calls.method()), calls.contextFree);
    try {
      this.#setUp();
      this.#identify(certificatePem, keyPem);
    } catch (error) {
      freeHandle(this.#handle);
      throw error;
    } finally {
      calls.clearErrors();
    }
  }

  open(terms: DtlsSessionTerms): DtlsSession {
    if (this.#handle.address === NONE) throw new Error('the DTLS context was freed');
    const { cookieFor } = terms;
    const cookie =
      cookieFor === undefined
        ? undefined
        : createHmac('sha256', this.#cookieSecret).update(cookieFor).digest().subarray(0, 20);
    return new Session(this.#calls, this.#handle.address, terms, cookie);
  }

  free(): void {
    freeHandle(this.#handle);
  }

  #setUp(): void {
    const calls = this.#calls;
    const context = this.#handle.address;
    const { cookieMake, cookieCheck } = theCallbacks();
    this.#need(context !== NONE, 'no memory');
    calls.contextControl(context, SET_MIN_VERSION, DTLS1_2, NONE);
    calls.contextControl(context, SET_MAX_VERSION, DTLS1_2, NONE);
    calls.contextControl(context, SET_MODE, MODE_RELEASE_BUFFERS, NONE);
    calls.contextControl(context, SET_SESSION_CACHE, 0, NONE);
    calls.contextControl(context, SET_MAX_FRAGMENT, LONGEST_DATAGRAM, NONE);
    calls.contextControl(context, SET_MAX_CERTIFICATES, LONGEST_CERTIFICATES, NONE);
    calls.contextOptions(
      context,
      NO_QUERY_MTU | NO_TICKET | NO_COMPRESSION | NO_RENEGOTIATION | SERVER_PREFERENCE,
    );
    calls.contextVerify(context, VERIFY_PEER | FAIL_WITHOUT_CERTIFICATE, NONE);
    calls.cookieGenerate(context, cookieMake);
    calls.cookieVerify(context, cookieCheck);
    this.#need(calls.cipherList(context, cText(CIPHERS)) === 1, 'no usable cipher');
    // Of all of OpenSSL's functions this one alone returns 0 for success.
    this.#need(calls.srtpProfiles(context, cText(PROFILE_NAMES)) === 0, 'no usable SRTP profile');
    this.#need(calls.daneEnable(context) === 1, 'no DANE');
    const digests = { 'sha-1': calls.sha1(), 'sha-384': calls.sha384(), 'sha-512': calls.sha512() };
    for (const [name, digest] of Object.entries(digests)) {
      const { type, strength } = DANE_DIGESTS[name as DigestName];
      this.#need(calls.daneDigest(context, digest, type, strength) > 0, `no ${name}`);
    }
  }

  #identify(certificatePem: string, keyPem: string): void {
    const calls = this.#calls;
    const context = this.#handle.address;
    const certificate = this.#readPem(certificatePem, calls.readCertificate);
    this.#need(certificate !== NONE, 'the certificate is no PEM certificate');
    const certificateTaken = calls.useCertificate(context, certificate) === 1;
    calls.freeCertificate(certificate);
    this.#need(certificateTaken, 'the certificate is refused');
    const key = this.#readPem(keyPem, calls.readKey);
    this.#need(key !== NONE, 'the key is no PEM key without a password');
    const keyTaken = calls.useKey(context, key) === 1;
    calls.freeKey(key);
    theRoom().input.fill(0);
    this.#need(keyTaken && calls.checkKey(context) === 1, 'the key is not the certificate’s');
  }

  #readPem(pem: string, read: DtlsCalls['readKey']): Address {
    const at = cText(pem);
    const bio = this.#calls.bioOver(at, Buffer.byteLength(pem, 'latin1'));
    if (bio === NONE) return NONE;
    // A password is asked for at the terminal unless one is given: an empty one fits no encrypted key.
    const noPassword = cText('', INPUT_BYTES - 1);
    const result = read(bio, NONE, NONE, noPassword);
    this.#calls.bioFree(bio);
    return result;
  }

  #need(met: boolean, otherwise: string): void {
    if (!met) throw new Error(`DTLS: ${otherwise} (${reason(this.#calls) || 'OpenSSL says no more'})`);
  }
}

class Session implements DtlsSession {
  state: DtlsState = 'handshaking';
  problem = '';
  readonly #calls: DtlsCalls;
  readonly #handle: Handle;
  readonly #input: Address;
  readonly #output: Address;
  readonly #cookie: Uint8Array | undefined;
  #keys: DtlsSrtpKeys | undefined;

  constructor(
    calls: DtlsCalls,
    context: Address,
    { role, fingerprints }: DtlsSessionTerms,
    cookie: Uint8Array | undefined,
  ) {
    if (fingerprints.length === 0) throw new RangeError('a DTLS session needs a fingerprint');
    this.#calls = calls;
    this.#cookie = cookie;
    calls.clearErrors();
    this.#handle = newHandle(this, calls.sessionNew(context), calls.sessionFree);
    const session = this.#handle.address;
    this.#input = session === NONE ? NONE : calls.bioNew(calls.bioMemory());
    this.#output = session === NONE ? NONE : calls.bioNew(calls.bioMemory());
    if (this.#input === NONE || this.#output === NONE) {
      if (this.#input !== NONE) calls.bioFree(this.#input);
      freeHandle(this.#handle);
      throw new Error('OpenSSL has no memory for a DTLS session');
    }
    // From here on the session frees them.
    calls.sessionBios(session, this.#input, this.#output);
    calls.sessionControl(session, SET_LINK_MTU, LONGEST_DATAGRAM, NONE);
    calls.timerCallback(session, theCallbacks().timer);
    if (cookie !== undefined) calls.sessionOptions(session, COOKIE_EXCHANGE);
    if (!this.#expect(fingerprints)) {
      freeHandle(this.#handle);
      calls.clearErrors();
      throw new RangeError('OpenSSL takes no such fingerprint');
    }
    if (role === 'client') calls.asClient(session);
    else calls.asServer(session);
  }

  start(): void {
    this.#advance();
  }

  receive(datagram: Uint8Array, length: number): void {
    if (this.#handle.address === NONE || this.state === 'failed' || this.state === 'closed') return;
    if (length > Math.min(datagram.length, LONGEST_RECEIVED)) return;
    const { input, inputAt } = theRoom();
    // One by one: OpenSSL 3.0 loses what lies in a datagram behind a flight's first message that came again.
    for (const record of cutDatagrams(datagram.subarray(0, length), 0)) {
      const type = record[0]!;
      if (type < FIRST_CONTENT_TYPE || type > LAST_CONTENT_TYPE) return;
      input.set(record);
      // A memory BIO knows no datagrams: what an earlier one left unread must not run into this one.
      this.#calls.bioControl(this.#input, BIO_RESET, 0, NONE);
      if (this.#calls.bioWrite(this.#input, inputAt, record.length) !== record.length) return;
      this.#advance();
    }
  }

  takeDatagrams(): Uint8Array[] {
    if (this.#handle.address === NONE) return [];
    const pending = this.#calls.bioControl(this.#output, BIO_PENDING, 0, NONE);
    if (pending <= 0) return [];
    const { output, outputAt } = theRoom();
    const length = this.#calls.bioRead(this.#output, outputAt, Math.min(pending, OUTPUT_BYTES));
    // More than fits (a certificate of 60 KB) is lost as on any network, and sent again.
    this.#calls.bioControl(this.#output, BIO_RESET, 0, NONE);
    return length > 0 ? cutDatagrams(Uint8Array.from(output.subarray(0, length)), LONGEST_DATAGRAM) : [];
  }

  timeoutMs(): number | undefined {
    if (this.#handle.address === NONE || this.state !== 'handshaking') return undefined;
    const { input, inputAt } = theRoom();
    if (this.#calls.sessionControl(this.#handle.address, GET_TIMEOUT, 0, inputAt) !== 1) return undefined;
    const view = new DataView(input.buffer, input.byteOffset, 16);
    return Number(view.getBigInt64(0, true)) * 1000 + Number(view.getBigInt64(8, true)) / 1000;
  }

  handleTimeout(): void {
    if (this.#handle.address === NONE || this.state !== 'handshaking') return;
    this.#enter();
    if (this.#calls.sessionControl(this.#handle.address, HANDLE_TIMEOUT, 0, NONE) < 0)
      this.#fail('the peer does not answer');
    this.#calls.clearErrors();
  }

  keys(): DtlsSrtpKeys | undefined {
    return this.#keys;
  }

  close(): void {
    if (this.#handle.address === NONE || this.state !== 'connected') return;
    this.#enter();
    this.#calls.shutdown(this.#handle.address);
    this.#calls.clearErrors();
    this.state = 'closed';
  }

  free(): void {
    this.#keys?.client.fill(0);
    this.#keys?.server.fill(0);
    this.#keys = undefined;
    freeHandle(this.#handle);
  }

  #expect(fingerprints: readonly CertificateDigest[]): boolean {
    const calls = this.#calls;
    const session = this.#handle.address;
    const { input, inputAt } = theRoom();
    if (calls.sessionDane(session, NONE) !== 1) return false;
    calls.sessionDaneFlags(session, Number(NO_NAME_CHECKS));
    for (const { hash, digest } of fingerprints) {
      if (digest.length !== DIGEST_LENGTHS[hash]) return false;
      input.set(digest);
      const { type } = DANE_DIGESTS[hash];
      if (calls.sessionDaneAdd(session, DANE_EE, DANE_CERTIFICATE, type, inputAt, digest.length) !== 1)
        return false;
    }
    return true;
  }

  /** Errors lie in a queue of the thread, which Node's own TLS reads too: it is left as empty as it is found. */
  #enter(): void {
    if (this.#cookie !== undefined) presentCookie = this.#cookie;
    this.#calls.clearErrors();
  }

  #advance(): void {
    if (this.#handle.address === NONE || this.state === 'failed' || this.state === 'closed') return;
    this.#enter();
    if (this.state === 'handshaking') this.#handshake();
    if (this.state === 'connected') this.#read();
    this.#calls.clearErrors();
  }

  #handshake(): void {
    const calls = this.#calls;
    const session = this.#handle.address;
    const result = calls.handshake(session);
    if (result === 1) {
      this.#keys = this.#export();
      if (this.#keys === undefined) this.#fail('the peer agreed to no SRTP profile of ours');
      else this.state = 'connected';
      return;
    }
    if (calls.errorOf(session, result) === WANT_READ) return;
    this.#fail(this.#why());
  }

  /** Answers a Finished that comes again, sees alerts; data that somebody sends is thrown away (RFC 5764 §5.1.2 has none). */
  #read(): void {
    const calls = this.#calls;
    const session = this.#handle.address;
    const { outputAt } = theRoom();
    let result: number;
    do result = calls.read(session, outputAt, OUTPUT_BYTES);
    while (result > 0);
    const error = calls.errorOf(session, result);
    if (error === ZERO_RETURN) this.state = 'closed';
    else if (error !== WANT_READ) this.#fail(this.#why());
    // Buffers of 18 KB, which the next record gets anew.
    calls.freeBuffers(session);
  }

  #export(): DtlsSrtpKeys | undefined {
    const calls = this.#calls;
    const session = this.#handle.address;
    const selected = calls.selectedProfile(session);
    if (selected === NONE) return undefined;
    const profile = profileId(selected);
    const length = exportLength(profile);
    if (length === undefined) return undefined;
    const { output, outputAt } = theRoom();
    const label = cText(EXPORTER_LABEL);
    if (calls.exportKeys(session, outputAt, length, label, EXPORTER_LABEL.length, NONE, 0, 0) !== 1)
      return undefined;
    const material = output.subarray(0, length);
    const keys = splitMaterial(profile, material);
    material.fill(0);
    return keys;
  }

  #why(): string {
    const calls = this.#calls;
    if (calls.verifyResult(this.#handle.address) !== 0)
      return 'the peer’s certificate is not the one that its fingerprint in SDP names';
    const code = calls.firstError();
    const text = calls.reasonOf(code) ?? 'without a reason';
    const alert = (code & 0x7fffff) - ALERT_REASONS;
    if (alert < 0) return `DTLS: ${text}`;
    return alert === BAD_CERTIFICATE_ALERT
      ? 'the peer refused our certificate (fingerprint)'
      : `the peer ended the handshake: ${text}`;
  }

  #fail(problem: string): void {
    this.state = 'failed';
    this.problem = problem;
  }
}

function reason(calls: DtlsCalls): string {
  const code = calls.firstError();
  return code === 0 ? '' : (calls.reasonOf(code) ?? '');
}

function fingerprintOf(pem: string): string {
  const digest = createHash('sha256').update(new X509Certificate(pem).raw).digest('hex').toUpperCase();
  return digest.match(/../g)!.join(':');
}
