export const NONE = 0;
// Of <openssl/ssl.h>, <openssl/bio.h>; unchanged from 1.1.1 to 3.x.
export const DTLS1_2 = 0xfefd;
export const SET_MIN_VERSION = 123;
export const SET_MAX_VERSION = 124;
export const SET_SESSION_CACHE = 44;
export const SET_MAX_CERTIFICATES = 51;
export const SET_LINK_MTU = 120;
export const SET_MAX_FRAGMENT = 52;
export const GET_TIMEOUT = 73;
export const HANDLE_TIMEOUT = 74;
export const NO_QUERY_MTU = 1n << 12n;
export const COOKIE_EXCHANGE = 1n << 13n;
export const NO_TICKET = 1n << 14n;
export const NO_COMPRESSION = 1n << 17n;
export const SERVER_PREFERENCE = 1n << 22n;
export const NO_RENEGOTIATION = 1n << 30n;
export const VERIFY_PEER = 1;
export const FAIL_WITHOUT_CERTIFICATE = 2;
export const BIO_RESET = 1;
export const BIO_PENDING = 10;
export const WANT_READ = 2;
export const ZERO_RETURN = 6;
/** Reasons from here on are alerts of the peer, by their numbers. */
export const ALERT_REASONS = 1000;
export const BAD_CERTIFICATE_ALERT = 42;
export const FIRST_CONTENT_TYPE = 20;
export const LAST_CONTENT_TYPE = 63;
