import { takeKeys } from './apply-spec.ts';
import type { DtlsKeys, DtlsRecord } from './dtls-state.ts';
import type { Stream } from './stream.ts';

/** To be applied before the numbering: indices begin anew under a new key. */
export function applyDtlsRecord(stream: Stream, record: DtlsRecord): void {
  const { association } = stream;
  association.terms = record.terms;
  association.phase = record.phase;
  if (record.keys === undefined || isSame(association.keys, record.keys)) return;
  useKeys(stream, record.keys);
}

/** From now on the stream sends and takes what is under these keys, and nothing else. */
export function useKeys(stream: Stream, keys: DtlsKeys): void {
  stream.association.keys = keys;
  takeKeys(stream, keys);
}

const isSame = (a: DtlsKeys | undefined, b: DtlsKeys): boolean =>
  a?.sendKey.suite === b.sendKey.suite &&
  a.sendKey.keySalt === b.sendKey.keySalt &&
  a.receiveKey.keySalt === b.receiveKey.keySalt;
