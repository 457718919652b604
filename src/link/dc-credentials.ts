import { statSync } from 'node:fs';
import { join } from 'node:path';
import type { Clock, Logger, Timer } from '../base/index.ts';
import type { LinkCredentials } from './certificates.ts';
import { type CredentialFiles, readCredentialFiles } from './credential-files.ts';

const RELOAD_EVERY_MS = 10_000;
const FILES: CredentialFiles = { ca: 'ca.crt', cert: 'dc.crt', key: 'dc.key' };

/** What a data centre shows to the others. Throws `dc_certificates` with a sentence that names the file. */
export const readCredentials = (directory: string): LinkCredentials =>
  readCredentialFiles(directory, FILES, {
    code: 'dc_certificates',
    why: 'data centres meet by certificates',
    page: 'docs/data-centres.md',
  });

/** The same, read again when the files change: a renewed certificate is used without a restart. */
export class DcCredentials {
  readonly #directory: string;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #onChanged: (renewed: LinkCredentials) => void;
  #present: LinkCredentials;
  #readMs: number;
  #timer: Timer;

  constructor(options: {
    readonly directory: string;
    readonly clock: Clock;
    readonly log: Logger;
    readonly onChanged: (renewed: LinkCredentials) => void;
  }) {
    this.#directory = options.directory;
    this.#clock = options.clock;
    this.#log = options.log;
    this.#onChanged = options.onChanged;
    this.#present = readCredentials(this.#directory);
    this.#readMs = newestOf(this.#directory);
    this.#timer = this.#clock.after(RELOAD_EVERY_MS, () => this.#look());
  }

  get present(): LinkCredentials {
    return this.#present;
  }

  close(): void {
    this.#timer.cancel();
  }

  #look(): void {
    try {
      const changedMs = newestOf(this.#directory);
      if (changedMs !== this.#readMs) {
        const renewed = readCredentials(this.#directory);
        this.#onChanged(renewed);
        this.#present = renewed;
        this.#readMs = changedMs;
        this.#log.info({}, 'dc.certificates_reloaded');
      }
    } catch (error) {
      this.#log.error({ error: String(error) }, 'dc.certificates_not_reloaded');
    }
    this.#timer = this.#clock.after(RELOAD_EVERY_MS, () => this.#look());
  }
}

const newestOf = (directory: string): number =>
  Math.max(...Object.values(FILES).map((name) => statSync(join(directory, name)).mtimeMs));
