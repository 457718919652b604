import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { TwinlineError } from '../base/index.ts';
import { systemRandom } from '../native/index.ts';
import { loadOrCreateKeyFile } from '../state/index.ts';
import { ensureDtlsCertificates } from './certificate.ts';
import { checkDataDirectory } from './checks.ts';
import { dtlsCertificateFiles, keyDir, pairKeyFile, pairSecretFile } from './paths.ts';

/** Makes what all machines of one installation must have alike, where it is not there yet. Gives the directory that is to be copied. */
export async function makeSharedKeys(dataText: string): Promise<string> {
  const data = resolve(dataText);
  await checkDataDirectory(data);
  await ensurePairSecret(data);
  loadOrCreateKeyFile(pairKeyFile(data), systemRandom);
  await ensureDtlsCertificates(data);
  return keyDir(data);
}

/** Made by one machine alone they would not be the others'. Throws `keys_missing`. */
export function checkSharedKeys(data: string): void {
  const dtls = dtlsCertificateFiles(data).flatMap(({ certificate, key }) => [certificate, key]);
  for (const file of [pairSecretFile(data), pairKeyFile(data), ...dtls])
    if (!existsSync(file))
      throw new TwinlineError(
        'keys_missing',
        `${file} is missing: every machine needs the same one; "twinline keys" makes them on one, copy its directory to the others (docs/machines.md)`,
      );
}

export async function ensurePairSecret(data: string): Promise<void> {
  await mkdir(keyDir(data), { recursive: true, mode: 0o700 });
  if (existsSync(pairSecretFile(data))) return;
  await writeFile(pairSecretFile(data), `${randomBytes(32).toString('hex')}\n`, { mode: 0o600, flag: 'wx' });
}
