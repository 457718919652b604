import { type DtlsCallbacks, registerCallbacks } from './dtls-calls.ts';

/**
 * RFC 6347 §4.2.4.1 says 1 s at first, for want of knowledge; real-time profiles wait less (libwebrtc 50 ms). A flight sent once
 * too often harms nobody.
 */
const FIRST_TIMEOUT_US = 100_000;
const LONGEST_TIMEOUT_US = 3_200_000;

/** The cookie of the session that is being driven. */
let presentCookie: Uint8Array = new Uint8Array(0);
let callbacks: DtlsCallbacks | undefined;

export function theCallbacks(): DtlsCallbacks {
  callbacks ??= registerCallbacks({
    nextTimeoutUs: (timeoutUs) =>
      timeoutUs === 0 ? FIRST_TIMEOUT_US : Math.min(2 * timeoutUs, LONGEST_TIMEOUT_US),
    cookie: () => presentCookie,
  });
  return callbacks;
}

/** To be said before OpenSSL is called for a session that asks for one. */
export function presentCookieOf(cookie: Uint8Array): void {
  presentCookie = cookie;
}
