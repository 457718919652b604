import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { createHash, X509Certificate } from 'node:crypto';
import type dgram from 'node:dgram';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { CertificateDigest, DtlsIdentity, DtlsSession, DtlsState } from '../../src/native/index.ts';

export interface TestIdentity extends DtlsIdentity {
  readonly directory: string;
  readonly certificateFile: string;
  readonly keyFile: string;
  readonly sha256: CertificateDigest;
  remove(): void;
}

/** A certificate of its own making. `names`: that many subject alternative names, to make it long. */
export function makeIdentity(
  options: { key?: 'ec' | 'rsa'; names?: number; days?: number } = {},
): TestIdentity {
  const directory = mkdtempSync(join(tmpdir(), 'twinline-dtls-'));
  const certificateFile = join(directory, 'c.crt');
  const keyFile = join(directory, 'c.key');
  const key =
    options.key === 'rsa'
      ? ['-newkey', 'rsa:2048']
      : ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256'];
  const names = Array.from({ length: options.names ?? 0 }, (_, i) => `DNS:name-number-${i}.example.net`);
  const extension = names.length > 0 ? ['-addext', `subjectAltName=${names.join(',')}`] : [];
  const words = ['req', '-x509', ...key, '-nodes', '-sha256', '-days', String(options.days ?? 30)];
  words.push('-subj', '/CN=test', ...extension, '-keyout', keyFile, '-out', certificateFile);
  execFileSync('openssl', words, { stdio: 'ignore' });
  const certificatePem = readFileSync(certificateFile, 'utf8');
  return {
    directory,
    certificateFile,
    keyFile,
    certificatePem,
    keyPem: readFileSync(keyFile, 'utf8'),
    sha256: digestOf(certificatePem, 'sha-256'),
    remove: () => rmSync(directory, { recursive: true, force: true }),
  };
}

export function digestOf(certificatePem: string, hash: CertificateDigest['hash']): CertificateDigest {
  const { raw } = new X509Certificate(certificatePem);
  return { hash, digest: createHash(hash.replace('-', '')).update(raw).digest() };
}

/** Lets two sessions talk without a network until neither has anything more to say. */
export function talk(a: DtlsSession, b: DtlsSession): void {
  for (;;) {
    const forB = a.takeDatagrams();
    for (const datagram of forB) b.receive(datagram, datagram.length);
    const forA = b.takeDatagrams();
    for (const datagram of forA) a.receive(datagram, datagram.length);
    if (forA.length + forB.length === 0) return;
  }
}

/** A session on a UDP socket, with its own retransmissions. */
export class SessionOnUdp {
  readonly session: DtlsSession;
  readonly #socket: dgram.Socket;
  #peer: { readonly address: string; readonly port: number } | undefined;
  #timer: NodeJS.Timeout | undefined;
  #told: (() => void)[] = [];

  constructor(session: DtlsSession, socket: dgram.Socket, peer?: { address: string; port: number }) {
    this.session = session;
    this.#socket = socket;
    this.#peer = peer;
    socket.on('message', (datagram, from) => {
      this.#peer ??= from;
      session.receive(datagram, datagram.length);
      this.#act();
    });
  }

  start(): void {
    this.session.start();
    this.#act();
  }

  /** Queues what the session was made to say. */
  #act(): void {
    for (const datagram of this.session.takeDatagrams())
      if (this.#peer) this.#socket.send(datagram, this.#peer.port, this.#peer.address);
    clearTimeout(this.#timer);
    const waitMs = this.session.timeoutMs();
    if (waitMs !== undefined)
      this.#timer = setTimeout(() => {
        this.session.handleTimeout();
        this.#act();
      }, waitMs + 1);
    if (this.session.state !== 'handshaking') for (const tell of this.#told.splice(0)) tell();
  }

  flush(): void {
    this.#act();
  }

  /** When the handshake is over, for good or bad. */
  async done(): Promise<DtlsState> {
    if (this.session.state === 'handshaking') await new Promise<void>((resolve) => this.#told.push(resolve));
    return this.session.state;
  }

  close(): void {
    clearTimeout(this.#timer);
    this.session.free();
    this.#socket.close();
  }
}

/** Debian's `openssl s_client` or `s_server` as the other end. */
export class OpenSslPeer {
  readonly #process: ChildProcess;
  output = '';
  #waiting: { readonly pattern: RegExp; readonly resolve: (found: RegExpExecArray) => void }[] = [];

  constructor(command: 's_client' | 's_server', identity: TestIdentity, words: readonly string[]) {
    const all = [command, '-dtls1_2', '-cert', identity.certificateFile, '-key', identity.keyFile];
    this.#process = spawn('openssl', [...all, ...words], { stdio: ['pipe', 'pipe', 'pipe'] });
    for (const stream of [this.#process.stdout!, this.#process.stderr!])
      stream.on('data', (data) => {
        this.output += data;
        this.#waiting = this.#waiting.filter(({ pattern, resolve }) => {
          const found = pattern.exec(this.output);
          if (found) resolve(found);
          return !found;
        });
      });
  }

  /** What the program has said or will say. */
  said(pattern: RegExp): Promise<RegExpExecArray> {
    const found = pattern.exec(this.output);
    if (found) return Promise.resolve(found);
    return new Promise((resolve) => this.#waiting.push({ pattern, resolve }));
  }

  /** Its end of input: it says close_notify and ends. */
  hangUp(): void {
    this.#process.stdin!.end();
  }

  async close(): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    const ended = new Promise((resolve) => this.#process.once('exit', resolve));
    this.#process.kill('SIGKILL');
    await ended;
  }
}
