import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  type EdgeId,
  type FlowId,
  type Logger,
  type SwitchId,
  silentLogger,
  Tokens,
  VirtualClock,
  type ZoneId,
} from '../../src/base/index.ts';
import {
  type Edge,
  type EdgeLimits,
  type EdgeOptions,
  type ListenerOptions,
  startEdge,
} from '../../src/edge/index.ts';
import {
  type Channel,
  connectLink,
  type EdgeToSwitch,
  type Flow,
  type LinkClient,
  PROTOCOL_VERSION,
} from '../../src/link/index.ts';
import { systemClock, systemRandom } from '../../src/native/index.ts';

/** Waits for the condition itself; fails naming it. */
export async function eventually(what: string, condition: () => boolean, withinMs = 5_000): Promise<void> {
  const endMs = systemClock.nowMs() + withinMs;
  while (!condition()) {
    if (systemClock.nowMs() > endMs) throw new Error(`waited ${withinMs} ms for: ${what}`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** An edge on free loopback ports whose time limits run on `clock`, with one switch that answers every request with 200. */
export class SocketBench {
  readonly directory = mkdtempSync(join(tmpdir(), 'edge-'));
  readonly clock = new VirtualClock();
  readonly got: { flow: Flow; text: string }[] = [];
  readonly closed: FlowId[] = [];
  readonly logged: { event: string; fields: Record<string, unknown> }[] = [];
  edge!: Edge;
  #switch: LinkClient | undefined;
  readonly #clients: LinkClient[] = [];

  async start(
    listeners: Partial<ListenerOptions>[],
    limits: Partial<EdgeLimits> = {},
    udp?: EdgeOptions['udp'],
  ): Promise<this> {
    const note = (fields: object, event: string): void => {
      this.logged.push({ event, fields: fields as Record<string, unknown> });
    };
    const log: Logger = { ...silentLogger, warn: note, info: note };
    const linkPath = join(this.directory, 'run', 'edge1.sock');
    this.edge = await startEdge({
      id: 'edge1' as EdgeId,
      listeners: listeners.map((one) => ({ transport: 'udp', address: '127.0.0.1', port: 0, ...one })),
      linkPath,
      tokens: new Tokens(new Uint8Array(32)),
      limits,
      ...(udp && { udp }),
      clock: this.clock,
      random: systemRandom,
      log,
    });
    const self = { role: 'switch', id: 'a1', pid: process.pid, startTime: 0 };
    this.#switch = connectLink({
      path: linkPath,
      self,
      // Deadlines of frames are read on the clock of who wrote them.
      clock: this.clock,
      random: systemRandom,
      log: silentLogger,
      onChannel: (channel) => {
        channel.onFrame((frame) => {
          if (frame.kind === 'flow-closed')
            this.closed.push((frame.data as EdgeToSwitch['flow-closed']).flow);
          if (frame.kind !== 'sip') return undefined;
          const { flow } = frame.data as EdgeToSwitch['sip'];
          const text = Buffer.from(frame.body!).toString('latin1');
          this.got.push({ flow, text });
          channel.send({ kind: 'sip', data: { flow: flow.id }, body: Buffer.from(answerTo(text), 'latin1') });
          return undefined;
        });
        const data = {
          version: PROTOCOL_VERSION,
          zone: 'a' as ZoneId,
          switch: 'a1' as SwitchId,
          owns: [],
          load: 0,
          draining: false,
        };
        channel.send({ kind: 'greet', lane: 'priority', data });
      },
    });
    await eventually('the switch greeted', () => this.edge.status().zones.length === 1);
    return this;
  }

  /** A channel of another process to the edge. */
  async connect(role: string, id: string): Promise<Channel> {
    const client = connectLink({
      path: join(this.directory, 'run', 'edge1.sock'),
      self: { role, id, pid: process.pid, startTime: 0 },
      clock: this.clock,
      random: systemRandom,
      log: silentLogger,
      onChannel: () => {},
    });
    this.#clients.push(client);
    await eventually(`${role} is connected`, () => client.channel !== undefined);
    return client.channel!;
  }

  port(index = 0): number {
    return this.edge.addresses[index]!.port;
  }

  send(flow: FlowId, text: string): void {
    this.#switch?.channel?.send({ kind: 'sip', data: { flow }, body: Buffer.from(text, 'latin1') });
  }

  count(name: string): number {
    return this.edge.status().counters[name] ?? 0;
  }

  async stop(): Promise<void> {
    this.#switch?.close();
    for (const client of this.#clients) client.close();
    await this.edge?.close();
    rmSync(this.directory, { recursive: true, force: true });
  }

  /** A self-signed certificate with its key, in files. */
  certificate(
    name: string,
    options: { days?: number; cipher?: 'rsa' | 'ec'; notAfter?: Date } = {},
  ): { certificateFile: string; keyFile: string } {
    const certificateFile = join(this.directory, `${name}.crt`);
    const keyFile = join(this.directory, `${name}.key`);
    const algorithm =
      options.cipher === 'rsa' ? ['rsa:2048'] : ['ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1'];
    execFileSync(
      'openssl',
      [
        'req',
        '-x509',
        '-newkey',
        ...algorithm,
        '-nodes',
        '-subj',
        `/CN=${name}`,
        '-days',
        String(options.days ?? 365),
      ].concat(['-keyout', keyFile, '-out', certificateFile]),
      { stdio: 'ignore' },
    );
    return { certificateFile, keyFile };
  }
}

function answerTo(request: string): string {
  const lines = request.split('\r\n');
  const copied = lines.filter((line) => /^(?:Via|From|To|Call-ID|CSeq):/.test(line));
  return ['SIP/2.0 200 OK', ...copied, 'Content-Length: 0', '', ''].join('\r\n');
}
