import { execFile } from 'node:child_process';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { LinkCredentials } from '../../src/link/index.ts';

const run = promisify(execFile);

/** A certificate authority of its own in `directory`, by Debian's openssl. */
export async function makeAuthority(directory: string, name: string): Promise<Authority> {
  const ca = join(directory, `${name}.crt`);
  const key = join(directory, `${name}.key`);
  await run('openssl', [
    ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'],
    ...['-subj', `/CN=${name}`, '-keyout', key, '-out', ca],
  ]);
  let serial = 0;
  return {
    async issue(subject, { uri, days = 2 } = {}) {
      const base = join(directory, `${name}-${++serial}`);
      await run('openssl', [
        ...['req', '-new', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'],
        ...['-subj', `/CN=${subject}`, '-keyout', `${base}.key`, '-out', `${base}.csr`],
      ]);
      await writeFile(
        `${base}.ext`,
        uri === undefined ? 'basicConstraints=CA:FALSE\n' : `subjectAltName=URI:${uri}\n`,
      );
      await run('openssl', [
        ...['x509', '-req', '-in', `${base}.csr`, '-CA', ca, '-CAkey', key, '-set_serial', String(serial)],
        ...['-days', String(days), '-extfile', `${base}.ext`, '-out', `${base}.crt`],
      ]);
      const [caText, cert, keyText] = await Promise.all(
        [ca, `${base}.crt`, `${base}.key`].map((path) => readFile(path, 'utf8')),
      );
      return { ca: caText!, cert: cert!, key: keyText! };
    },
  };
}

export interface Authority {
  /** A certificate with CN `subject`, e.g. `zone:a`. A negative number of days makes an expired one. */
  issue(
    subject: string,
    options?: { readonly uri?: string; readonly days?: number },
  ): Promise<LinkCredentials>;
}

/** Puts them below `data` where an installation looks for them. */
export async function placeCredentials(
  data: string,
  kind: 'dc' | 'machine',
  { ca, cert, key }: LinkCredentials,
): Promise<void> {
  const place = join(data, 'tls', kind);
  await mkdir(place, { recursive: true });
  await writeFile(join(place, 'ca.crt'), ca);
  await writeFile(join(place, `${kind}.crt`), cert);
  await writeFile(join(place, `${kind}.key`), key, { mode: 0o600 });
}
