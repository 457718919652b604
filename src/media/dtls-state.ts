import type { SrtpKey } from './protocol.ts';

/** How far a stream's DTLS has come, as its twin must know it. Plain data, and secret once there are keys. */
export interface DtlsRecord {
  /** `nameOfTerms` of those that it is about; empty before there are any. */
  terms: string;
  /** `begun`: a first flight may have left, so nobody but the process that sent it can go on. */
  phase: 'new' | 'begun' | 'done' | 'failed';
  /** What is in use: from the last handshake that ended well, also while another one is under way. */
  keys?: DtlsKeys;
}

export interface DtlsKeys {
  readonly sendKey: SrtpKey;
  readonly receiveKey: SrtpKey;
}

export const newDtlsRecord = (): DtlsRecord => ({ terms: '', phase: 'new' });
