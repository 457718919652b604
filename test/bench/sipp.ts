import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';

/** Debian's sipp 3.6.1 as caller and callee. Scenario files are written to a directory of the bench's own. */
export interface SippOptions {
  readonly directory: string;
  readonly name: string;
  readonly scenario: string;
  readonly server: { readonly address: string; readonly port: number };
  readonly localPort: number;
  readonly arguments: readonly string[];
}

export interface SippResult {
  readonly successful: number;
  readonly failed: number;
  readonly retransmissions: number;
  /** Calls that got 503 with Retry-After, and when the last one did, in seconds since the start. Only where the scenario expects them. */
  readonly refused: number;
  readonly lastRefusedSec: number;
  /** How calls failed, by sipp's names: `CallRejected`, `MaxUDPRetrans`, `UnexpectedMessage`. */
  readonly failures: Readonly<Record<string, number>>;
}

export class Sipp {
  readonly pid: number;
  readonly #child: ChildProcess;
  readonly #statistics: string;
  readonly #ended: Promise<void>;
  #said = '';

  constructor({ directory, name, scenario, server, localPort, arguments: more }: SippOptions) {
    const file = path.join(directory, `${name}.xml`);
    writeFileSync(file, scenario);
    this.#statistics = path.join(directory, `${name}.csv`);
    this.#child = spawn(
      'sipp',
      [
        `${server.address}:${server.port}`,
        ...['-sf', file, '-i', '127.0.0.1', '-p', String(localPort), '-t', 'u1', '-nostdin'],
        ...['-trace_stat', '-stf', this.#statistics, '-fd', '1', '-buff_size', String(4 * 1024 * 1024)],
        ...more,
      ],
      { cwd: directory, stdio: ['ignore', 'ignore', 'pipe'], env: { ...process.env, TERM: 'dumb' } },
    );
    this.pid = this.#child.pid!;
    this.#child.stderr!.on('data', (chunk) => {
      this.#said = (this.#said + String(chunk)).slice(-2_000);
    });
    this.#ended = new Promise((resolve) => this.#child.once('exit', () => resolve()));
  }

  /** Of the last line of its statistics; sums since its start. */
  result(): SippResult {
    const lines = readFileSync(this.#statistics, 'utf8').trim().split('\n');
    const names = lines[0]!.split(';');
    const values = lines.at(-1)!.split(';');
    const of = (name: string) => Number(values[names.indexOf(name)]);
    const failures = names
      .map((name) => [/^Failed(.+)\(C\)$/.exec(name)?.[1], of(name)] as const)
      .filter(([kind, count]) => kind !== undefined && kind !== 'Call' && count > 0);
    const counter = names.findIndex((name) => /^(?:GenericCounter)?1\(P\)$/.test(name));
    const perSecond = counter < 0 ? [] : lines.slice(1).map((line) => Number(line.split(';')[counter]));
    return {
      refused: perSecond.reduce((sum, count) => sum + count, 0),
      lastRefusedSec: perSecond.findLastIndex((count) => count > 0) + 1,
      failures: Object.fromEntries(failures),
      successful: of('SuccessfulCall(C)'),
      failed: of('FailedCall(C)'),
      retransmissions: of('Retransmissions(C)'),
    };
  }

  /**
   * Resolves when it has made its calls. Rejects if it could not begin or is not done within the time: its own -timeout waits
   * for calls that never end.
   */
  async ended(withinMs: number): Promise<SippResult> {
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), withinMs);
    await this.#ended;
    clearTimeout(timer);
    if (this.#child.signalCode === 'SIGKILL') {
      const { successful, failed } = this.result();
      throw new Error(
        `sipp was not done after ${Math.round(withinMs / 1000)} s: ${successful} calls went well, ${failed} failed, the others hang`,
      );
    }
    // 0: all calls went well; 1: some failed, which the statistics tell.
    const code = this.#child.exitCode;
    if (code !== 0 && code !== 1)
      throw new Error(`sipp ended with ${code ?? this.#child.signalCode}: ${this.#said}`);
    return this.result();
  }

  async stop(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#ended;
  }
}

const scenario = (name: string, steps: string): string =>
  `<?xml version="1.0" encoding="ISO-8859-1" ?>\n<!DOCTYPE scenario SYSTEM "sipp.dtd">\n<scenario name="${name}">\n${steps}</scenario>\n`;

const message = (lines: readonly string[]): string => `<![CDATA[\n${lines.join('\n')}\n]]>`;

const sdp = [
  'Content-Type: application/sdp',
  'Content-Length: [len]',
  '',
  'v=0',
  'o=sipp 1 1 IN IP4 [local_ip]',
  's=-',
  'c=IN IP4 [media_ip]',
  't=0 0',
  'm=audio [auto_media_port] RTP/AVP 0 101',
  'a=rtpmap:0 PCMU/8000',
  'a=rtpmap:101 telephone-event/8000',
  'a=fmtp:101 0-15',
  'a=ptime:20',
  'a=sendrecv',
];

/**
 * The caller. The `-inf` file has a line per user: `user;[authentication …];dialled`. INVITE, 401 or 407, INVITE with credentials,
 * ACK, the hold time, BYE.
 */
export function callerScenario(
  domain: string,
  holdMs: number,
  options: { readonly mayBeRefused?: boolean } = {},
): string {
  // A 503 with Retry-After ends the attempt well; each is counted by itself.
  const refused = options.mayBeRefused
    ? '<recv response="503" optional="true" next="refused" counter="1"><action><ereg regexp="[0-9]+" search_in="hdr" header="Retry-After:" check_it="true" assign_to="1"/></action></recv>\n'
    : '';
  const uri = `sip:[field2]@${domain}`;
  const invite = (cseq: number, more: readonly string[]) =>
    `<send retrans="500">${message([
      `INVITE ${uri} SIP/2.0`,
      'Via: SIP/2.0/UDP [local_ip]:[local_port];rport;branch=[branch]',
      `From: <sip:[field0]@${domain}>;tag=[pid]c[call_number]`,
      `To: <${uri}>`,
      'Call-ID: [call_id]',
      `CSeq: ${cseq} INVITE`,
      'Contact: <sip:[field0]@[local_ip]:[local_port]>',
      'Max-Forwards: 70',
      ...more,
      ...sdp,
    ])}</send>\n`;
  const ack = (first: string, more: readonly string[]) =>
    `<send>${message([
      first,
      ...more,
      `From: <sip:[field0]@${domain}>;tag=[pid]c[call_number]`,
      `To: <${uri}>[peer_tag_param]`,
      'Call-ID: [call_id]',
      'Max-Forwards: 70',
      'Content-Length: 0',
    ])}</send>\n`;
  return scenario(
    'caller',
    invite(1, []) +
      '<recv response="100" optional="true"/>\n' +
      refused +
      '<recv response="407" optional="true" auth="true" next="challenged"/>\n' +
      '<recv response="401" auth="true"/>\n' +
      '<label id="challenged"/>\n' +
      ack(`ACK ${uri} SIP/2.0`, ['[last_Via:]', 'CSeq: 1 ACK']) +
      invite(2, ['[field1]']) +
      // An INVITE that was sent again while its 407 was on the way gets two: sipp would take the second for the answer to this one.
      '<recv response="407" optional="true"/>\n' +
      refused +
      '<recv response="100" optional="true"/>\n<recv response="180" optional="true"/>\n<recv response="183" optional="true"/>\n' +
      '<recv response="200" rrs="true" rtd="true"/>\n' +
      ack('ACK [next_url] SIP/2.0', [
        'Via: SIP/2.0/UDP [local_ip]:[local_port];rport;branch=[branch]',
        '[routes]',
        'CSeq: 2 ACK',
      ]) +
      `<pause milliseconds="${holdMs}"/>\n` +
      `<send retrans="500">${message([
        'BYE [next_url] SIP/2.0',
        'Via: SIP/2.0/UDP [local_ip]:[local_port];rport;branch=[branch]',
        '[routes]',
        `From: <sip:[field0]@${domain}>;tag=[pid]c[call_number]`,
        `To: <${uri}>[peer_tag_param]`,
        'Call-ID: [call_id]',
        'CSeq: 3 BYE',
        'Max-Forwards: 70',
        'Content-Length: 0',
      ])}</send>\n` +
      '<recv response="200"/>\n' +
      (options.mayBeRefused
        ? '<nop next="over"/>\n<label id="refused"/>\n' +
          ack(`ACK ${uri} SIP/2.0`, ['[last_Via:]', 'CSeq: [cseq] ACK']) +
          '<label id="over"/>\n<nop><action><log message="[$1]"/></action></nop>\n'
        : ''),
  );
}

/** The callee: 180, 200, and 200 to the BYE. */
export function calleeScenario(): string {
  const reply = (status: string, to: string, more: readonly string[]) =>
    message([
      `SIP/2.0 ${status}`,
      '[last_Via:]',
      '[last_Record-Route:]',
      '[last_From:]',
      `[last_To:]${to}`,
      '[last_Call-ID:]',
      '[last_CSeq:]',
      'Contact: <sip:callee@[local_ip]:[local_port]>',
      ...more,
    ]);
  const tag = ';tag=[pid]d[call_number]';
  return scenario(
    'callee',
    '<recv request="INVITE"/>\n' +
      `<send>${reply('180 Ringing', tag, ['Content-Length: 0'])}</send>\n` +
      `<send retrans="500">${reply('200 OK', tag, sdp)}</send>\n` +
      '<recv request="ACK" optional="false"/>\n<recv request="BYE"/>\n' +
      `<send>${reply('200 OK', '', ['Content-Length: 0'])}</send>\n` +
      // A BYE that comes again is answered again.
      '<timewait milliseconds="2000"/>\n',
  );
}
