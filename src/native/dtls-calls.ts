import koffi from 'koffi';
import type { Address } from './openssl-calls.ts';

type Call = (...values: number[]) => number;

/** libssl's functions as we use them. Pointers are plain numbers; memory that is passed is kept by the caller for the call's time. */
export interface DtlsCalls {
  readonly contextNew: Call;
  readonly contextFree: Call;
  readonly contextControl: Call;
  readonly contextOptions: (context: Address, options: bigint) => bigint;
  readonly contextVerify: Call;
  readonly useCertificate: Call;
  readonly useKey: Call;
  readonly checkKey: Call;
  readonly cipherList: Call;
  readonly srtpProfiles: Call;
  readonly daneEnable: Call;
  readonly daneDigest: Call;
  readonly cookieGenerate: Call;
  readonly cookieVerify: Call;
  readonly sessionNew: Call;
  readonly sessionFree: Call;
  readonly sessionControl: Call;
  readonly sessionOptions: (session: Address, options: bigint) => bigint;
  readonly sessionBios: Call;
  readonly sessionDane: Call;
  readonly sessionDaneFlags: Call;
  readonly sessionDaneAdd: Call;
  readonly timerCallback: Call;
  readonly asClient: Call;
  readonly asServer: Call;
  readonly handshake: Call;
  readonly read: Call;
  readonly shutdown: Call;
  readonly errorOf: Call;
  readonly verifyResult: Call;
  readonly selectedProfile: Call;
  readonly exportKeys: Call;
  readonly version: Call;
  readonly bioNew: Call;
  readonly bioFree: Call;
  readonly bioMemory: Call;
  readonly bioOver: Call;
  readonly bioRead: Call;
  readonly bioWrite: Call;
  readonly bioControl: Call;
  readonly readCertificate: Call;
  readonly freeCertificate: Call;
  readonly readKey: Call;
  readonly freeKey: Call;
  readonly method: Call;
  readonly sha1: Call;
  readonly sha256: Call;
  readonly sha384: Call;
  readonly sha512: Call;
  readonly clearErrors: Call;
  readonly firstError: Call;
  readonly reasonOf: (code: number) => string | null;
}

/** Binds the OpenSSL in this process (`null`) or a library. Throws when it is not there or lacks a function. */
export function bindDtls(path: string | null): DtlsCalls {
  // A libssl must find its own libcrypto before Node's functions of the same names.
  const library = koffi.load(path, { deep: path !== null });
  const P = 'uintptr_t';
  const bind = (symbol: string, result: string, parameters: string[]): Call =>
    library.func(symbol, result, parameters) as unknown as Call;
  const options = (symbol: string) =>
    library.func(symbol, 'uint64_t', [P, 'uint64_t']) as unknown as DtlsCalls['contextOptions'];
  return {
    contextNew: bind('SSL_CTX_new', P, [P]),
    contextFree: bind('SSL_CTX_free', 'void', [P]),
    contextControl: bind('SSL_CTX_ctrl', 'long', [P, 'int', 'long', P]),
    contextOptions: options('SSL_CTX_set_options'),
    contextVerify: bind('SSL_CTX_set_verify', 'void', [P, 'int', P]),
    useCertificate: bind('SSL_CTX_use_certificate', 'int', [P, P]),
    useKey: bind('SSL_CTX_use_PrivateKey', 'int', [P, P]),
    checkKey: bind('SSL_CTX_check_private_key', 'int', [P]),
    cipherList: bind('SSL_CTX_set_cipher_list', 'int', [P, P]),
    srtpProfiles: bind('SSL_CTX_set_tlsext_use_srtp', 'int', [P, P]),
    daneEnable: bind('SSL_CTX_dane_enable', 'int', [P]),
    daneDigest: bind('SSL_CTX_dane_mtype_set', 'int', [P, P, 'uint8_t', 'uint8_t']),
    cookieGenerate: bind('SSL_CTX_set_cookie_generate_cb', 'void', [P, P]),
    cookieVerify: bind('SSL_CTX_set_cookie_verify_cb', 'void', [P, P]),
    sessionNew: bind('SSL_new', P, [P]),
    sessionFree: bind('SSL_free', 'void', [P]),
    sessionControl: bind('SSL_ctrl', 'long', [P, 'int', 'long', P]),
    sessionOptions: options('SSL_set_options'),
    sessionBios: bind('SSL_set_bio', 'void', [P, P, P]),
    sessionDane: bind('SSL_dane_enable', 'int', [P, P]),
    sessionDaneFlags: bind('SSL_dane_set_flags', 'ulong', [P, 'ulong']),
    sessionDaneAdd: bind('SSL_dane_tlsa_add', 'int', [P, 'uint8_t', 'uint8_t', 'uint8_t', P, 'size_t']),
    timerCallback: bind('DTLS_set_timer_cb', 'void', [P, P]),
    asClient: bind('SSL_set_connect_state', 'void', [P]),
    asServer: bind('SSL_set_accept_state', 'void', [P]),
    handshake: bind('SSL_do_handshake', 'int', [P]),
    read: bind('SSL_read', 'int', [P, P, 'int']),
    shutdown: bind('SSL_shutdown', 'int', [P]),
    errorOf: bind('SSL_get_error', 'int', [P, 'int']),
    verifyResult: bind('SSL_get_verify_result', 'long', [P]),
    selectedProfile: bind('SSL_get_selected_srtp_profile', P, [P]),
    exportKeys: bind('SSL_export_keying_material', 'int', [P, P, 'size_t', P, 'size_t', P, 'size_t', 'int']),
    version: bind('SSL_version', 'int', [P]),
    bioNew: bind('BIO_new', P, [P]),
    bioFree: bind('BIO_free', 'int', [P]),
    bioMemory: bind('BIO_s_mem', P, []),
    bioOver: bind('BIO_new_mem_buf', P, [P, 'int']),
    bioRead: bind('BIO_read', 'int', [P, P, 'int']),
    bioWrite: bind('BIO_write', 'int', [P, P, 'int']),
    bioControl: bind('BIO_ctrl', 'long', [P, 'int', 'long', P]),
    readCertificate: bind('PEM_read_bio_X509', P, [P, P, P, P]),
    freeCertificate: bind('X509_free', 'void', [P]),
    readKey: bind('PEM_read_bio_PrivateKey', P, [P, P, P, P]),
    freeKey: bind('EVP_PKEY_free', 'void', [P]),
    method: bind('DTLS_method', P, []),
    sha1: bind('EVP_sha1', P, []),
    sha256: bind('EVP_sha256', P, []),
    sha384: bind('EVP_sha384', P, []),
    sha512: bind('EVP_sha512', P, []),
    clearErrors: bind('ERR_clear_error', 'void', []),
    firstError: bind('ERR_peek_error', 'ulong', []),
    reasonOf: library.func('ERR_reason_error_string', 'str', ['ulong']) as unknown as DtlsCalls['reasonOf'],
  };
}

const timerType = koffi.proto('uint32_t TwinlineDtlsTimer(uintptr_t session, uint32_t timeoutUs)');
const cookieMakeType = koffi.proto(
  'int TwinlineDtlsCookieMake(uintptr_t session, uintptr_t cookie, uintptr_t length)',
);
const cookieCheckType = koffi.proto(
  'int TwinlineDtlsCookieCheck(uintptr_t session, uintptr_t cookie, uint32_t length)',
);

/** Functions of ours that OpenSSL calls from within its own: synchronously and on this thread. They must not throw. */
export interface DtlsCallbacks {
  readonly timer: Address;
  readonly cookieMake: Address;
  readonly cookieCheck: Address;
}

/**
 * Never unregistered: one set serves all contexts of the process. `cookie` gives what the session that is being driven must see, at most
 * 255 octets.
 */
export function registerCallbacks(options: {
  readonly nextTimeoutUs: (timeoutUs: number) => number;
  readonly cookie: () => Uint8Array;
}): DtlsCallbacks {
  const register = (action: (...values: number[]) => number, type: ReturnType<typeof koffi.proto>): Address =>
    Number(koffi.register(action, koffi.pointer(type)));
  return {
    timer: register((_session, timeoutUs) => options.nextTimeoutUs(timeoutUs!), timerType),
    cookieMake: register((_session, cookieAt, lengthAt) => {
      const cookie = options.cookie();
      koffi.encode(BigInt(cookieAt!), 'uint8_t', cookie, cookie.length);
      koffi.encode(BigInt(lengthAt!), 'uint32_t', cookie.length);
      return 1;
    }, cookieMakeType),
    cookieCheck: register((_session, cookieAt, length) => {
      const cookie = options.cookie();
      if (length !== cookie.length) return 0;
      const said = Buffer.from(koffi.decode(BigInt(cookieAt!), 'uint8_t', length) as number[]);
      return said.equals(cookie) ? 1 : 0;
    }, cookieCheckType),
  };
}

/** The second member of `SRTP_PROTECTION_PROFILE {const char *name; unsigned long id}`. */
export const profileId = (at: Address): number => Number(koffi.decode(BigInt(at), 8, 'ulong'));
