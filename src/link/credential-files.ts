import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { TwinlineError } from '../base/index.ts';
import type { LinkCredentials } from './certificates.ts';

/** The names of the PEM files in their directory. */
export type CredentialFiles = Readonly<Record<keyof LinkCredentials, string>>;

/** What an operator has put there. Throws `code` with a sentence that names the file, why it is needed and the page that says how to make it. */
export function readCredentialFiles(
  directory: string,
  files: CredentialFiles,
  { code, why, page }: { readonly code: string; readonly why: string; readonly page: string },
): LinkCredentials {
  const read = (name: string): string => {
    try {
      return readFileSync(join(directory, name), 'utf8');
    } catch (cause) {
      throw new TwinlineError(
        code,
        `${join(directory, name)} is missing or cannot be read: ${why}, put ${Object.values(files).join(', ')} into ${directory} (${page} says how to make them)`,
        { cause },
      );
    }
  };
  return { ca: read(files.ca), cert: read(files.cert), key: read(files.key) };
}
