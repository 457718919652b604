import {
  type BundleId,
  type EdgeId,
  type FlowId,
  type SwitchId,
  seededRandom,
  silentLogger,
  Tokens,
  VirtualClock,
  type ZoneId,
} from '../../src/base/index.ts';
import { type Address, EdgeCore, type EdgeCoreOptions } from '../../src/edge/index.ts';
import {
  type BundleEpoch,
  type Channel,
  type EdgeToSwitch,
  type Flow,
  type Frame,
  type MemoryLink,
  memoryLink,
  PROTOCOL_VERSION,
  SIP_ACKNOWLEDGE_MS,
} from '../../src/link/index.ts';

/** An edge core on virtual time with what clients and switches see of it. */
export class EdgeBench {
  readonly clock = new VirtualClock();
  readonly tokens = new Tokens(new Uint8Array(32).fill(7));
  readonly toClients: { flow: FlowId; text: string; remote: Address | undefined }[] = [];
  readonly closedFlows: FlowId[] = [];
  readonly goneFlows = new Set<FlowId>();
  readonly core: EdgeCore;

  constructor(options: Partial<Omit<EdgeCoreOptions, 'transports' | 'clock'>> = {}) {
    this.core = new EdgeCore({
      id: 'edge1' as EdgeId,
      tokens: this.tokens,
      clock: this.clock,
      random: seededRandom(1),
      log: silentLogger,
      transports: {
        send: (flow, bytes, remote) => {
          if (this.goneFlows.has(flow)) return false;
          this.toClients.push({ flow, text: Buffer.from(bytes).toString('latin1'), remote });
          return true;
        },
        close: (flow) => this.closedFlows.push(flow),
      },
      ...options,
    });
  }

  /** Connects and greets. */
  switch(id: string, zone: string, options: FakeSwitchOptions = {}): FakeSwitch {
    return new FakeSwitch(this, id, zone, options);
  }

  receive(text: string, from: Flow = phoneFlow()): void {
    this.core.receive(from, Buffer.from(text, 'latin1'));
  }

  /** Lets everything happen that is due within `ms`, promises included. */
  async pass(ms = 0): Promise<void> {
    const end = this.clock.nowMs() + ms;
    for (;;) {
      await settle();
      const due = this.clock.nextDueMs();
      if (due === undefined || due > end) break;
      this.clock.runNext();
    }
    this.clock.advance(end - this.clock.nowMs());
  }

  count(name: string): number {
    return this.core.status().counters[name] ?? 0;
  }
}

const settle = async (): Promise<void> => {
  for (let turn = 0; turn < 8; turn++) await Promise.resolve();
};

export interface FakeSwitchOptions {
  owns?: BundleEpoch[];
  load?: number;
  draining?: boolean;
  window?: { frames: number; bytes: number };
}

export interface Got {
  readonly flow: Flow;
  readonly bundle: BundleId | undefined;
  readonly text: string;
  readonly frame: Frame;
}

export class FakeSwitch {
  readonly link: MemoryLink;
  readonly channel: Channel;
  readonly got: Got[] = [];
  readonly otherFrames: Frame[] = [];
  /** While true nothing is acknowledged: the process is frozen, or has not committed yet. */
  frozen = false;

  constructor(bench: EdgeBench, id: string, zone: string, options: FakeSwitchOptions) {
    const peer = (role: string, name: string) => ({ role, id: name, pid: 1, startTime: 0 });
    this.link = memoryLink({
      clock: bench.clock,
      left: peer('edge', 'edge1'),
      right: peer('switch', id),
      acknowledgeMs: SIP_ACKNOWLEDGE_MS,
      ...(options.window && { window: options.window }),
    });
    this.channel = this.link.right;
    this.channel.onFrame((frame) => {
      if (frame.kind === 'sip') {
        const { flow, bundle } = frame.data as EdgeToSwitch['sip'];
        this.got.push({ flow, bundle, text: Buffer.from(frame.body!).toString('latin1'), frame });
      } else this.otherFrames.push(frame);
      return this.frozen ? new Promise(() => {}) : undefined;
    });
    bench.core.connected(this.link.left);
    const { owns = [], load = 0, draining = false } = options;
    this.channel.send({
      kind: 'greet',
      lane: 'priority',
      data: { version: PROTOCOL_VERSION, zone: zone as ZoneId, switch: id as SwitchId, owns, load, draining },
    });
  }

  own(...bundles: BundleEpoch[]): Promise<Frame> {
    return this.channel.request({ kind: 'own', data: { bundles }, lane: 'priority' }, 1_000);
  }

  load(load: number, draining = false): void {
    this.channel.send({ kind: 'load', data: { load, draining }, lane: 'priority' });
  }

  send(flow: Flow, text: string, owner?: BundleEpoch): void {
    this.channel.send({ kind: 'sip', data: { flow: flow.id, ...owner }, body: Buffer.from(text, 'latin1') });
  }

  die(): void {
    this.link.crash('right');
  }

  methods(): string[] {
    return this.got.map(({ text }) => text.split(' ', 1)[0]!);
  }
}

export const bundle = (name: string): BundleId => name.padEnd(10, '0') as BundleId;

export function phoneFlow(address = '192.0.2.10', port = 5060, transport: Flow['transport'] = 'udp'): Flow {
  const id = transport === 'udp' ? `u:edge1:0:${address}:${port}` : `c:edge1:${address}:${port}`;
  return {
    id: id as FlowId,
    edge: 'edge1' as EdgeId,
    transport,
    local: { address: '198.51.100.1', port: 5060 },
    remote: { address, port },
  };
}

export interface RequestOptions {
  uri?: string;
  callId?: string;
  fromTag?: string;
  toTag?: string;
  branch?: string;
  cseq?: number;
  headers?: string[];
  via?: string;
}

/** A request of a phone, as it comes over the wire. */
export function request(method: string, options: RequestOptions = {}): string {
  const {
    uri = 'sip:1002@demo.twinline.test',
    callId = 'call-1@phone',
    fromTag = 'alice',
    toTag,
    cseq = 1,
  } = options;
  const {
    branch = `z9hG4bK${callId.replace('@', '-')}-${cseq}`,
    headers = [],
    via = `SIP/2.0/UDP 192.0.2.10:5060;rport;branch=${branch}`,
  } = options;
  return [
    `${method} ${uri} SIP/2.0`,
    `Via: ${via}`,
    'Max-Forwards: 70',
    `From: "Alice" <sip:1001@demo.twinline.test>;tag=${fromTag}`,
    `To: <sip:1002@demo.twinline.test>${toTag === undefined ? '' : `;tag=${toTag}`}`,
    `Call-ID: ${callId}`,
    `CSeq: ${cseq} ${method}`,
    'Contact: <sip:1001@192.0.2.10:5060>',
    ...headers,
    'Content-Length: 0',
    '',
    '',
  ].join('\r\n');
}

export function response(status: number, method: string, options: RequestOptions = {}): string {
  const { callId = 'call-1@phone', fromTag = 'alice', toTag = 'bob', cseq = 1 } = options;
  const { branch = `z9hG4bK${callId.replace('@', '-')}-${cseq}` } = options;
  return [
    `SIP/2.0 ${status} Whatever`,
    `Via: SIP/2.0/UDP 192.0.2.10:5060;rport;branch=${branch}`,
    `From: "Alice" <sip:1001@demo.twinline.test>;tag=${fromTag}`,
    `To: <sip:1002@demo.twinline.test>;tag=${toTag}`,
    `Call-ID: ${callId}`,
    `CSeq: ${cseq} ${method}`,
    'Content-Length: 0',
    '',
    '',
  ].join('\r\n');
}
