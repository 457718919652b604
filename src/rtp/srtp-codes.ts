/** Results of `protect` and `unprotect` below zero. */
export const SRTP_MALFORMED = -1;
/** The tag is wrong: another key, another rollover counter, or tampered with. */
export const SRTP_AUTH = -2;
/** The index was used already, or lies before the replay window. */
export const SRTP_REPLAY = -3;
/** The buffer has no room for what the suite adds. */
export const SRTP_NO_ROOM = -4;
/** All indices (2^48 RTP, 2^31 RTCP) or SSRCs (32) under this key are used up: a new key is needed. */
export const SRTP_EXHAUSTED = -5;
