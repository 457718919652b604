import { presentCookieOf, theCallbacks } from './dtls-callbacks.ts';
import { type DtlsCalls, profileId } from './dtls-calls.ts';
import {
  ALERT_REASONS,
  BAD_CERTIFICATE_ALERT,
  BIO_PENDING,
  BIO_RESET,
  COOKIE_EXCHANGE,
  FIRST_CONTENT_TYPE,
  GET_TIMEOUT,
  HANDLE_TIMEOUT,
  LAST_CONTENT_TYPE,
  NONE,
  SET_LINK_MTU,
  SYSTEM_CALL,
  WANT_READ,
  ZERO_RETURN,
} from './dtls-constants.ts';
import { expectFingerprints } from './dtls-dane.ts';
import { cutDatagrams, LONGEST_DATAGRAM } from './dtls-datagrams.ts';
import { cText, OUTPUT_BYTES, theRoom } from './dtls-memory.ts';
import { type DtlsSrtpKeys, EXPORTER_LABEL, exportLength, splitMaterial } from './dtls-srtp.ts';
import type { DtlsSession, DtlsSessionTerms, DtlsState } from './dtls-types.ts';
import { freeHandle, type Handle, newHandle } from './handle.ts';
import type { Address } from './openssl-calls.ts';

/** Of what comes. */
const LONGEST_RECEIVED = 2048;
/**
 * Header, nonce and tag of AES-GCM. OpenSSL 3.0 forgets where it is after a shorter one and loses the record behind it. (An alert under
 * ChaCha20 is shorter too: such a peer's close goes unheard.)
 */
const SHORTEST_ENCRYPTED = 13 + 8 + 16;

export class Session implements DtlsSession {
  state: DtlsState = 'handshaking';
  problem = '';
  refused = false;
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
    if (!expectFingerprints(calls, session, fingerprints)) {
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
      const isEncrypted = record[3] !== 0 || record[4] !== 0;
      if (isEncrypted && record.length < SHORTEST_ENCRYPTED) continue;
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

  /** Errors lie in a queue of the thread, which Node's own TLS reads too: it is left as empty as it is found. */
  #enter(): void {
    if (this.#cookie !== undefined) presentCookieOf(this.#cookie);
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
    if (!this.#waits(calls.errorOf(session, result))) this.#fail(this.#why());
  }

  /** It wants more. A record that it threw away (too short for its cipher) looks like a failed system call, without an error. */
  #waits(error: number): boolean {
    return error === WANT_READ || (error === SYSTEM_CALL && this.#calls.firstError() === 0);
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
    else if (!this.#waits(error)) this.#fail(this.#why());
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
    this.refused = true;
    return alert === BAD_CERTIFICATE_ALERT
      ? 'the peer refused our certificate (fingerprint)'
      : `the peer ended the handshake: ${text}`;
  }

  #fail(problem: string): void {
    this.state = 'failed';
    this.problem = problem;
  }
}
