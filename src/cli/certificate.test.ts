import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { ensureDtlsCertificates } from './certificate.ts';
import { dtlsCertificateFiles } from './paths.ts';

const directory = mkdtempSync(join(tmpdir(), 'twinline-certificates-'));
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const read = () =>
  dtlsCertificateFiles(directory).map((files) =>
    [files.certificate, files.key].map((f) => readFileSync(f, 'utf8')),
  );

test('certificates for DTLS are made once, two of them, and renewed a month before they expire', async () => {
  await ensureDtlsCertificates(directory);
  const first = read();
  expect(new Set(first.flat()).size).toBe(4);
  const [files] = dtlsCertificateFiles(directory);
  expect(statSync(files!.key).mode & 0o777).toBe(0o600);
  await ensureDtlsCertificates(directory);
  expect(read()).toEqual(first);

  execFileSync(
    'openssl',
    ['req', '-x509', '-key', files!.key, '-days', '20', '-subj', '/CN=old', '-out', files!.certificate],
    { stdio: 'ignore' },
  );
  await ensureDtlsCertificates(directory);
  const renewed = read();
  expect(renewed[0]).not.toEqual(first[0]);
  expect(renewed[1]).toEqual(first[1]);

  writeFileSync(files!.key, first[1]![1]!);
  await ensureDtlsCertificates(directory);
  expect(read()[0]).not.toEqual(renewed[0]);
});
