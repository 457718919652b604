import { execFile } from 'node:child_process';
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { chmod, mkdir, readFile } from 'node:fs/promises';
import { isIP } from 'node:net';
import { dirname } from 'node:path';
import { promisify } from 'node:util';
import { TwinlineError } from '../base/index.ts';
import { type LinkCredentials, readCredentials } from '../link/index.ts';
import { certificateFile, certificateKeyFile, dtlsCertificateFiles, keyDir, tlsDir } from './paths.ts';
import { readMachineCredentials } from './places.ts';

const VALID_DAYS = 825;
const RENEW_BEFORE_MS = 30 * 86_400_000;

/**
 * The TLS listeners' certificate: what the operator put there, or one signed by ourselves for these names. Ours is made anew when it is
 * about to expire or lacks a name; somebody else's is never touched. True when one was made.
 */
export async function ensureCertificate(data: string, names: readonly string[]): Promise<boolean> {
  const certificate = certificateFile(data);
  const key = certificateKeyFile(data);
  const found = await readFile(certificate, 'utf8').catch(() => undefined);
  if (found !== undefined && stillGood(found, names, certificate)) return false;
  await mkdir(tlsDir(data), { recursive: true, mode: 0o700 });
  await makeCertificate('TLS', { certificate, key }, names);
  return true;
}

/**
 * The certificates of DTLS-SRTP (RFC 8827 §6.5: P-256), made where there is none, its key is missing, or it is about to expire. SDP says
 * their digests, so nobody signs them, and nobody's name is in them. To be called while nothing runs: both media processes of a pair
 * read the same ones when they start.
 */
export async function ensureDtlsCertificates(data: string): Promise<void> {
  await mkdir(keyDir(data), { recursive: true, mode: 0o700 });
  for (const files of dtlsCertificateFiles(data)) {
    const [certificate, key] = await Promise.all(
      [files.certificate, files.key].map((file) => readFile(file, 'utf8').catch(() => undefined)),
    );
    if (certificate !== undefined && key !== undefined && isPairForLong(certificate, key)) continue;
    await makeCertificate('DTLS', files, []);
  }
}

async function makeCertificate(
  what: string,
  files: { readonly certificate: string; readonly key: string },
  names: readonly string[],
): Promise<void> {
  const alternatives = names.map((name) => (isIP(name) ? `IP:${name}` : `DNS:${name}`)).join(',');
  const words = [
    ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-sha256'],
    ...['-days', String(VALID_DAYS), '-subj', '/CN=twinline'],
    ...(names.length > 0 ? ['-addext', `subjectAltName=${alternatives}`] : []),
    ...['-keyout', files.key, '-out', files.certificate],
  ];
  try {
    await promisify(execFile)('openssl', words, { timeout: 30_000 });
  } catch (error) {
    const missing = (error as NodeJS.ErrnoException).code === 'ENOENT';
    const why = missing
      ? 'the command openssl is missing: install it (Debian: apt-get install openssl)'
      : `openssl said: ${lastLine(error)}`;
    throw new TwinlineError(
      'certificate_failed',
      `no certificate for ${what} could be made in ${dirname(files.certificate)}: ${why}`,
    );
  }
  await chmod(files.key, 0o600);
}

/** A certificate and its key, as we make them, with some time to go. */
function isPairForLong(certificatePem: string, keyPem: string): boolean {
  try {
    const certificate = new X509Certificate(certificatePem);
    return (
      certificate.checkPrivateKey(createPrivateKey(keyPem)) &&
      Date.parse(certificate.validTo) - Date.now() > RENEW_BEFORE_MS
    );
  } catch {
    return false;
  }
}

/** What data centres meet by is made by the operator, so all that is wrong with it is said before anything starts. */
export function checkDataCentreCertificate(directory: string, dataCentre: string): void {
  checkOperatorsCertificate(readCredentials(directory), `dc:${dataCentre}`, 'dc', (why) => {
    throw new TwinlineError(
      'dc_certificates',
      `${directory}: ${why}; docs/data-centres.md says how to make them`,
    );
  });
}

/** The same of what machines know each other by. */
export function checkMachineCertificate(directory: string, machine: string): void {
  checkOperatorsCertificate(readMachineCredentials(directory), `machine:${machine}`, 'machine', (why) => {
    throw new TwinlineError(
      'machine_certificates',
      `${directory}: ${why}; docs/machines.md says how to make them`,
    );
  });
}

function checkOperatorsCertificate(
  { ca, cert, key }: LinkCredentials,
  name: string,
  file: string,
  refuse: (why: string) => never,
): void {
  try {
    const certificate = new X509Certificate(cert);
    if (!certificate.checkPrivateKey(createPrivateKey(key)))
      refuse(`${file}.key is not the key of ${file}.crt`);
    if (!certificate.verify(new X509Certificate(ca).publicKey))
      refuse(`${file}.crt was not signed by ca.crt`);
    const names = [certificate.subject, certificate.subjectAltName ?? ''].join('\n').split(/\n|, /);
    if (!names.some((one) => one === `CN=${name}` || one === `URI:twinline:${name}`))
      refuse(`${file}.crt is not for ${name}, it says ${certificate.subject.replaceAll('\n', ', ')}`);
    if (Date.parse(certificate.validTo) < Date.now())
      refuse(`${file}.crt expired on ${certificate.validTo}: renew it`);
  } catch (error) {
    if (error instanceof TwinlineError) throw error;
    refuse(`a file is no PEM certificate or key (${(error as Error).message})`);
  }
}

function stillGood(pem: string, names: readonly string[], file: string): boolean {
  let certificate: X509Certificate;
  try {
    certificate = new X509Certificate(pem);
  } catch {
    throw new TwinlineError(
      'certificate_failed',
      `${file} holds no certificate: put a PEM file there, or remove it and one is made`,
    );
  }
  const isOurs = certificate.subject === 'CN=twinline' && certificate.issuer === 'CN=twinline';
  if (!isOurs) return true;
  const fresh = Date.parse(certificate.validTo) - Date.now() > RENEW_BEFORE_MS;
  return (
    fresh &&
    names.every((name) =>
      isIP(name) ? certificate.checkIP(name) !== undefined : certificate.checkHost(name) !== undefined,
    )
  );
}

function lastLine(error: unknown): string {
  const text = (error as { stderr?: string }).stderr ?? String(error);
  return text.trim().split('\n').at(-1) ?? '';
}
