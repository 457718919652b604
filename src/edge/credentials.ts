import { X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createSecureContext, type SecureContextOptions } from 'node:tls';
import { type Timer, TwinlineError } from '../base/index.ts';
import type { TlsOptions } from './options.ts';
import type { Rim } from './rim.ts';

/** AES-256 alone, forward secret, in TLS 1.2 and 1.3 (PH-SEC-01, TR-MEDIA-01). */
const AES_256_CIPHERS = [
  'TLS_AES_256_GCM_SHA384',
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-RSA-AES256-GCM-SHA384',
].join(':');

/** How often the certificate's files are looked at. */
export const TLS_RELOAD_MS = 30_000;
const DAY_MS = 86_400_000;
const ALARM_DAYS = [30, 7, 1];

/** What takes a new certificate without losing its connections: a TLS or HTTPS server. */
export interface SecureServer {
  setSecureContext(options: SecureContextOptions): void;
}

/**
 * The certificate of one listener: read, checked, read again when its files change, and complained about in good time
 * before it expires (TR-MEDIA-12).
 */
export class Credentials {
  readonly #rim: Rim;
  readonly #options: TlsOptions;
  readonly #where: string;
  #context: SecureContextOptions & { cert: string };
  #server: SecureServer | undefined;
  #timer: Timer | undefined;
  #alarmed = Number.POSITIVE_INFINITY;

  private constructor(
    rim: Rim,
    options: TlsOptions,
    where: string,
    context: SecureContextOptions & { cert: string },
  ) {
    this.#rim = rim;
    this.#options = options;
    this.#where = where;
    this.#context = context;
  }

  /** Rejects with `certificate_unusable` and a sentence that names the file. */
  static async load(rim: Rim, options: TlsOptions, where: string): Promise<Credentials> {
    const credentials = new Credentials(rim, options, where, await readContext(options, where));
    credentials.#watchExpiry();
    return credentials;
  }

  get context(): SecureContextOptions {
    return this.#context;
  }

  /** Whether clients are asked for a certificate of their own. */
  get asksClients(): boolean {
    return this.#options.clientCaFile !== undefined;
  }

  get expiresUtcMs(): number {
    return Date.parse(new X509Certificate(this.#context.cert).validTo);
  }

  /** From now on the server's new connections use what the files say. */
  serve(server: SecureServer): void {
    this.#server = server;
    this.#arm();
  }

  /** Rejects with `certificate_unusable`; then the former certificate stays in use. */
  async reload(): Promise<void> {
    const context = await readContext(this.#options, this.#where);
    if (
      context.cert === this.#context.cert &&
      context.key === this.#context.key &&
      context.ca === this.#context.ca
    )
      return;
    this.#context = context;
    this.#server?.setSecureContext(context);
    this.#alarmed = Number.POSITIVE_INFINITY;
    const expires = new Date(this.expiresUtcMs).toISOString();
    this.#rim.log.info({ listener: this.#where, expires }, 'edge.certificate_changed');
    this.#watchExpiry();
  }

  close(): void {
    this.#timer?.cancel();
    this.#server = undefined;
  }

  #arm(): void {
    this.#timer = this.#rim.clock.after(TLS_RELOAD_MS, () => {
      this.reload()
        // Half-written files are whole the next time.
        .catch((error: Error) =>
          this.#rim.log.warn({ error: error.message }, 'edge.certificate_not_reloaded'),
        )
        .finally(() => {
          this.#watchExpiry();
          if (this.#server) this.#arm();
        });
    });
  }

  #watchExpiry(): void {
    const daysLeft = (this.expiresUtcMs - this.#rim.clock.utcMs()) / DAY_MS;
    const passed = [0, ...ALARM_DAYS.toReversed()].find((days) => daysLeft <= days);
    if (passed === undefined || passed >= this.#alarmed) return;
    this.#alarmed = passed;
    const expires = new Date(this.expiresUtcMs).toISOString();
    const { certificateFile } = this.#options;
    this.#rim.log.warn(
      { listener: this.#where, certificateFile, expires, daysLeft: Math.floor(daysLeft) },
      passed === 0 ? 'edge.certificate_expired' : 'edge.certificate_expires_soon',
    );
  }
}

async function readContext(
  options: TlsOptions,
  where: string,
): Promise<SecureContextOptions & { cert: string }> {
  const cert = await readPem(options.certificateFile, 'certificate', where);
  const key = await readPem(options.keyFile, 'key', where);
  const context = {
    cert,
    key,
    ...(options.clientCaFile !== undefined && {
      ca: await readPem(options.clientCaFile, 'client CA', where),
    }),
    minVersion: 'TLSv1.2',
    ciphers: options.ciphers ?? AES_256_CIPHERS,
    honorCipherOrder: true,
  } as const;
  try {
    createSecureContext(context);
  } catch (error) {
    throw unusable(
      where,
      `${options.certificateFile} and ${options.keyFile} do not make a certificate with its key (${(error as Error).message})`,
      error,
    );
  }
  return context;
}

async function readPem(file: string, what: string, where: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const why =
      code === 'ENOENT'
        ? 'does not exist'
        : code === 'EACCES'
          ? 'may not be read by this user'
          : `cannot be read (${code})`;
    throw unusable(where, `the ${what} file ${file} ${why}`, error);
  }
}

const unusable = (where: string, what: string, cause: unknown): TwinlineError =>
  new TwinlineError('certificate_unusable', `${where} cannot start: ${what}.`, { cause });
