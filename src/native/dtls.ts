import { bindDtls } from './dtls-calls.ts';
import { openDtlsContext } from './dtls-context.ts';
import type { DtlsLibrary } from './dtls-types.ts';

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
    return { name, newContext: (identity) => openDtlsContext(calls, identity) };
  } catch {
    return undefined;
  }
}
