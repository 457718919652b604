import { createHash, createHmac, randomBytes, X509Certificate } from 'node:crypto';
import { theCallbacks } from './dtls-callbacks.ts';
import type { DtlsCalls } from './dtls-calls.ts';
import {
  DTLS1_2,
  FAIL_WITHOUT_CERTIFICATE,
  NO_COMPRESSION,
  NO_QUERY_MTU,
  NO_RENEGOTIATION,
  NO_TICKET,
  NONE,
  SERVER_PREFERENCE,
  SET_MAX_CERTIFICATES,
  SET_MAX_FRAGMENT,
  SET_MAX_VERSION,
  SET_MIN_VERSION,
  SET_SESSION_CACHE,
  VERIFY_PEER,
} from './dtls-constants.ts';
import { enableFingerprints } from './dtls-dane.ts';
import { LONGEST_DATAGRAM } from './dtls-datagrams.ts';
import { cText, INPUT_BYTES, theRoom } from './dtls-memory.ts';
import { Session } from './dtls-session.ts';
import { PROFILE_NAMES } from './dtls-srtp.ts';
import type { DtlsContext, DtlsIdentity, DtlsSession, DtlsSessionTerms } from './dtls-types.ts';
import { freeHandle, type Handle, newHandle } from './handle.ts';
import type { Address } from './openssl-calls.ts';

const LONGEST_CERTIFICATES = 32_768;
/** TLS 1.2's suites with forward secrecy and AEAD; RFC 8827 §6.5 asks for the first. */
const CIPHERS = 'ECDHE+AESGCM:ECDHE+CHACHA20';

export function openDtlsContext(calls: DtlsCalls, identity: DtlsIdentity): DtlsContext {
  return new Context(calls, identity);
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
    this.#need(enableFingerprints(calls, context), 'no check of fingerprints');
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

function reason(calls: DtlsCalls): string {
  const code = calls.firstError();
  return code === 0 ? '' : (calls.reasonOf(code) ?? '');
}

function fingerprintOf(pem: string): string {
  const digest = createHash('sha256').update(new X509Certificate(pem).raw).digest('hex').toUpperCase();
  return digest.match(/../g)!.join(':');
}
