/** Numbers of STUN (RFC 8489 §14, §18) as ICE uses it (RFC 8445 §16). */
export const STUN_HEADER_LENGTH = 20;
export const STUN_MAGIC_COOKIE = 0x2112a442;
/** Type, length and cookie stand before it; it has 12 octets. */
export const STUN_TRANSACTION_AT = 8;
export const STUN_TRANSACTION_LENGTH = 12;

export const STUN_BINDING_REQUEST = 0x0001;
export const STUN_BINDING_INDICATION = 0x0011;
export const STUN_BINDING_SUCCESS = 0x0101;
export const STUN_BINDING_ERROR = 0x0111;

export const STUN_BAD_REQUEST = 400;
export const STUN_UNAUTHENTICATED = 401;
export const STUN_UNKNOWN_ATTRIBUTE = 420;
export const STUN_ROLE_CONFLICT = 487;

export const MAPPED_ADDRESS = 0x0001;
export const USERNAME = 0x0006;
export const MESSAGE_INTEGRITY = 0x0008;
export const ERROR_CODE = 0x0009;
export const UNKNOWN_ATTRIBUTES = 0x000a;
export const REALM = 0x0014;
export const NONCE = 0x0015;
export const MESSAGE_INTEGRITY_SHA256 = 0x001c;
export const XOR_MAPPED_ADDRESS = 0x0020;
export const PRIORITY = 0x0024;
export const USE_CANDIDATE = 0x0025;
export const FINGERPRINT = 0x8028;
export const ICE_CONTROLLED = 0x8029;
export const ICE_CONTROLLING = 0x802a;

/** From here on an attribute that is not known may be passed over. */
export const FIRST_OPTIONAL_ATTRIBUTE = 0x8000;

export const ATTRIBUTE_HEADER_LENGTH = 4;
export const INTEGRITY_LENGTH = 20;
/** "STUN" in ASCII, so that the checksum is not one of a whole other protocol (RFC 8489 §14.7). */
export const FINGERPRINT_XOR = 0x5354554e;
