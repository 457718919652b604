import {
  type EdgeId,
  type FlowId,
  type Logger,
  type MediaId,
  randomBelow,
  type SwitchId,
  seededRandom,
  silentLogger,
  Tokens,
  VirtualClock,
  type ZoneId,
} from '../../src/base/index.ts';
import type { Call } from '../../src/call/index.ts';
import type { DirectorySnapshot } from '../../src/directory/index.ts';
import { indexDirectories } from '../../src/directory/index.ts';
import { type Address, EdgeCore } from '../../src/edge/index.ts';
import type { Channel, Flow, ProcessRef } from '../../src/link/index.ts';
import {
  type Lease,
  MemoryCluster,
  type MemoryState,
  type Sealer,
  type StatePort,
  type Stored,
  sealer,
} from '../../src/state/index.ts';
import { CallSwitch } from '../../src/switch/index.ts';
import type { StoredCall } from '../../src/switch/stored-call.ts';
import { type ChildRole, Supervisor } from '../../src/zone/index.ts';
import { settle } from '../support/virtual-time.ts';
import { asPlain, FenceWatch } from './fence-watch.ts';
import { History } from './history.ts';
import { SimLinks } from './links.ts';
import { SimMedia } from './media.ts';
import { SimProcess } from './process.ts';
import { simState } from './state.ts';

export interface Network {
  /** One-way, between phones and edge. */
  readonly lossRatio: number;
  readonly duplicateRatio: number;
  /** Evenly spread, so that what is sent in a row overtakes one another. */
  readonly delayMs: { readonly min: number; readonly max: number };
}

/** A mistake of the product, planted to see that the simulator notices it. */
export type Mistake = 'sends-before-commit' | 'forgets-the-outbox';

export interface WorldOptions extends Partial<Network> {
  readonly seed: number;
  readonly directory: DirectorySnapshot;
  readonly mistake?: Mistake;
  /** The newest form of stored calls that a zone's release reads, where it is not ours: an upgrade is under way. */
  readonly readsForm?: Partial<Record<ZoneName, number>>;
  /** Every event as a line. */
  readonly tell?: (line: string) => void;
}

export type ZoneName = 'a' | 'b';
const SWITCHES_PER_ZONE = 2;

/** Where a phone's datagrams arrive. */
export interface SimPeer {
  receive(bytes: Uint8Array, from: Address): void;
}

/**
 * A data centre in one process, on virtual time: one edge, two zones with their supervisors and switches, pretended media, and a network
 * that loses, delays and repeats by seed. Edge, supervisors and switches are the real code.
 */
export class World {
  readonly clock = new VirtualClock();
  /** Of the processes; the network has its own, so that a call more does not change what befalls the others at once. */
  readonly random;
  readonly history: History;
  readonly cluster = new MemoryCluster({ clock: this.clock });
  readonly links: SimLinks;
  readonly zones = new Map<ZoneName, { process: SimProcess; supervisor: Supervisor }>();
  readonly switches = new Map<string, { zone: ZoneName; process: SimProcess; callSwitch: CallSwitch }>();
  readonly media = new Map<ZoneName, SimMedia>();
  /** Every process that was ended to fence it, in order. */
  readonly fenced: string[] = [];
  readonly fenceWatch = new FenceWatch();
  /** The newest network address and port of a phone. */
  readonly phoneNumbers = { host: 0, port: 30_000 };
  readonly sealer: Sealer;
  /** Whether the network loses a message to a phone, beside what it loses by chance. */
  loses: ((bytes: Uint8Array) => boolean) | undefined;
  /** How long a question for registrations waits before it is asked of the state. */
  registrationsWaitMs = 0;
  /** A call has just been written as it now is, and its switch does not know it yet. */
  onCall: ((call: Call, by: SimProcess) => void) | undefined;
  readonly edgeAddress: Address = { address: '127.0.0.1', port: 5060 };
  #edge!: { process: SimProcess; core: EdgeCore };
  readonly #options: WorldOptions;
  readonly #tokens = new Tokens(Buffer.alloc(32, 7));
  readonly #processes = new Map<number, SimProcess>();
  readonly #phones = new Map<string, SimPeer>();
  readonly #ports = { next: 20_000 };
  readonly #network;
  /** Calls as they were written last, while `onCall` looks. */
  readonly #stored = new Map<string, Call>();
  readonly #states: { process: SimProcess; port: MemoryState }[] = [];
  #away: 'rejects' | 'hangs' | undefined;
  #nextPid = 1_000;
  /** How a supervisor would tell each switch of bundles. */
  readonly #grantees = new Map<string, Parameters<Channel['onFrame']>[0]>();

  constructor(options: WorldOptions) {
    this.#options = options;
    this.random = seededRandom(options.seed);
    this.#network = seededRandom(options.seed ^ 0x5eed);
    this.sealer = sealer({ newest: 1, keys: new Map([[1, Buffer.alloc(32, 9)]]) }, this.random);
    this.history = new History(this.clock, options.tell);
    this.links = new SimLinks({
      world: this.clock,
      delayMs: () => 0.05 + this.#chance() / 5,
      log: (process) => this.#log(process),
      sent: (from, to, chunk) => {
        this.history.add(`${from.name} > ${to.name} ${chunk.length}`, chunk);
        this.history.pass('between-processes');
      },
    });
    this.#startEdge();
    this.startZone('a');
    this.startZone('b');
  }

  get edge(): EdgeCore {
    return this.#edge.core;
  }

  // --- what a test does to it -----------------------------------------------------------------------------------------

  kill(process: SimProcess): boolean {
    if (!process.alive) return false;
    this.history.add(`${process.name}#${process.pid} is killed`);
    return process.kill();
  }

  /** SIGKILL for every process of the zone at once. */
  killZone(zone: ZoneName): void {
    for (const process of this.#processesOf(zone)) this.kill(process);
  }

  freezeZone(zone: ZoneName): void {
    for (const process of this.#processesOf(zone)) process.freeze();
  }

  thawZone(zone: ZoneName): void {
    for (const process of this.#processesOf(zone)) process.thaw();
  }

  /** The one that runs under that name, if any. */
  running(role: ChildRole | 'zone', id: string): SimProcess | undefined {
    return [...this.#processes.values()].find((one) => one.role === role && one.id === id && one.alive);
  }

  process(role: ChildRole | 'zone', id: string): SimProcess {
    const found = this.running(role, id);
    if (found === undefined) throw new Error(`no ${role} ${id} runs`);
    return found;
  }

  /** Nobody reaches the state until it is `back`. */
  stateAway(how: 'rejects' | 'hangs'): void {
    this.#away = how;
    for (const { process, port } of this.#states) if (process.alive) port.away(how);
  }

  stateBack(): void {
    this.#away = undefined;
    for (const { process, port } of this.#states) if (process.alive) port.back();
  }

  /** Gives all bundles of a switch to another one, as a draining or a fence across machines would, while the former owner lives. */
  async giveAway(from: string, to: string): Promise<void> {
    const { zone } = this.switches.get(to)!;
    const port = this.cluster.open(zone as ZoneId, (zone === 'a' ? 'b' : 'a') as ZoneId);
    const bundles: (Lease & { from: ZoneId })[] = [];
    for (const { bundle, owner, zone: before } of await port.leases()) {
      if (owner !== from) continue;
      bundles.push({ ...(await port.grant(bundle, to as SwitchId, zone as ZoneId)), from: before });
    }
    await this.#grantees.get(to)?.({ kind: 'grant', data: { bundles } });
  }

  /** The two supervisors do not hear each other until `heal`. */
  cutTwins(on: boolean): void {
    const a = this.running('zone', 'a');
    if (a === undefined) return;
    if (on) this.links.cut(a, 'zone b');
    else this.links.heal(a, 'zone b');
  }

  startZone(zone: ZoneName): void {
    const twin: ZoneName = zone === 'a' ? 'b' : 'a';
    const process = this.#spawn('zone', zone);
    const supervisor = new Supervisor({
      zone: zone as ZoneId,
      twin: twin as ZoneId,
      switches: Array.from({ length: SWITCHES_PER_ZONE }, (_, at) => `${zone}${at + 1}` as SwitchId),
      media: [zone],
      clock: process.clock,
      random: this.random,
      state: this.#state(process, zone),
      spawner: { spawn: (role, id) => this.#spawnChild(zone, role, id) },
      ender: {
        running: (ref: ProcessRef) => this.#processes.get(ref.pid)?.alive ?? false,
        end: (ref: ProcessRef) => {
          if (!process.alive || process.frozen) return false;
          const target = this.#processes.get(ref.pid);
          if (!target?.alive) return false;
          this.fenced.push(target.name);
          return this.kill(target);
        },
        gone: () => Promise.resolve(),
      },
      log: this.#log(process),
    });
    this.zones.set(zone, { process, supervisor });
    this.links.serve(`zone ${zone}`, process, (channel) => supervisor.accept(channel));
    if (zone < twin) this.links.connect(process, `zone ${twin}`, (channel) => supervisor.acceptTwin(channel));
    supervisor.start();
  }

  // --- the phones' network --------------------------------------------------------------------------------------------

  plug(at: Address, peer: SimPeer): void {
    this.#phones.set(`${at.address}:${at.port}`, peer);
  }

  /** A datagram from a phone to the edge. */
  toEdge(bytes: Uint8Array, from: Address): void {
    this.#carry(() => {
      this.history.add(`${from.address} > edge ${firstLine(bytes)}`, bytes);
      this.history.pass('to-edge');
      this.#edge.process.run(() => this.#edge.core.receive(this.#flow(from), bytes));
    });
  }

  #toPhone(bytes: Uint8Array, to: Address): void {
    this.history.add(`edge > ${to.address} ${firstLine(bytes)}`, bytes);
    this.history.pass('to-phone');
    if (this.loses?.(bytes)) return;
    this.#carry(() => {
      this.history.add(`${to.address} receives ${firstLine(bytes)}`);
      this.#phones.get(`${to.address}:${to.port}`)?.receive(bytes, this.edgeAddress);
    });
  }

  #carry(deliver: () => void): void {
    const { lossRatio = 0, duplicateRatio = 0, delayMs = { min: 1, max: 1 } } = this.#options;
    const copies = this.#chance() < lossRatio ? 0 : this.#chance() < duplicateRatio ? 2 : 1;
    for (let copy = 0; copy < copies; copy++) {
      this.clock.after(delayMs.min + this.#chance() * (delayMs.max - delayMs.min), deliver);
    }
  }

  #chance(): number {
    return randomBelow(this.#network, 1_000_000) / 1_000_000;
  }

  #flow(remote: Address): Flow {
    return {
      id: `u:edge1:0:${remote.address}:${remote.port}` as FlowId,
      edge: 'edge1' as EdgeId,
      transport: 'udp',
      local: this.edgeAddress,
      remote,
    };
  }

  // --- processes ------------------------------------------------------------------------------------------------------

  #startEdge(): void {
    const process = this.#spawn('edge', 'edge1');
    const core = new EdgeCore({
      id: 'edge1' as EdgeId,
      transports: {
        send: (flow, bytes, remote) => {
          this.fenceWatch.passes();
          const parts = flow.split(':');
          this.#toPhone(bytes, remote ?? { address: parts[3] ?? '', port: Number(parts[4]) });
          return true;
        },
        close: () => {},
      },
      tokens: this.#tokens,
      state: this.#state(process, 'a'),
      clock: process.clock,
      random: this.random,
      log: this.#log(process),
    });
    this.#edge = { process, core };
    this.links.serve('edge edge1', process, (channel) => core.connected(this.fenceWatch.watch(channel)));
  }

  #spawn(role: string, id: string): SimProcess {
    const process = new SimProcess(this.clock, this.#nextPid++, role, id);
    this.history.add(`${process.name}#${process.pid} starts`);
    this.#processes.set(process.pid, process);
    return process;
  }

  #spawnChild(zone: ZoneName, role: ChildRole, id: string) {
    const process = this.#spawn(role, id);
    if (role === 'switch') this.#startSwitch(zone, process);
    else this.#startMedia(zone, process);
    return {
      pid: process.pid,
      startTime: process.startTime,
      onExit: (handler: (how: string) => void) => process.onExit(handler),
      stop: async () => {
        process.kill('SIGTERM');
      },
    };
  }

  #state(process: SimProcess, zone: ZoneName): StatePort {
    const port = this.cluster.open(zone as ZoneId, (zone === 'a' ? 'b' : 'a') as ZoneId);
    this.#states.push({ process, port });
    process.onExit(() => void port.close());
    if (this.#away !== undefined) port.away(this.#away);
    const { mistake } = this.#options;
    return simState({
      process,
      port,
      delayMs: () => 0.2 + this.#chance() * 1.8,
      waitMs: (kind) => (kind === 'registration' ? this.registrationsWaitMs : 0),
      committed: (by, writes) => {
        this.history.add(`${by.name} has committed`);
        this.history.pass('commit', by);
        if (this.onCall !== undefined) {
          for (const write of writes) {
            if (write.key.kind !== 'call') continue;
            if (write.op === 'put') {
              const { call } = this.sealer.open(write.value as Uint8Array) as StoredCall;
              this.#stored.set(write.key.id, call);
              this.onCall(call, by);
            } else {
              // What has ended is not kept: its deletion is the moment.
              const last = this.#stored.get(write.key.id);
              this.#stored.delete(write.key.id);
              if (last !== undefined) this.onCall({ ...last, state: 'ended' }, by);
            }
          }
        }
      },
      ...(mistake === 'sends-before-commit' ? { commitLateMs: 2 } : {}),
      ...(mistake === 'forgets-the-outbox' ? { onList: (stored) => withoutOutbox(this.sealer, stored) } : {}),
    });
  }

  #log(process: SimProcess): Logger {
    const { tell } = this.#options;
    if (tell === undefined) return silentLogger;
    const say = (fields: object, event: string) =>
      this.history.add(`${process.name}#${process.pid} ${event} ${JSON.stringify(fields)}`);
    return { debug: say, info: say, warn: say, error: say, child: () => this.#log(process) };
  }

  #startSwitch(zone: ZoneName, process: SimProcess): void {
    const directories = indexDirectories([this.#options.directory]);
    const callSwitch = new CallSwitch({
      id: process.id as SwitchId,
      zone: zone as ZoneId,
      switchesInZone: SWITCHES_PER_ZONE,
      capacity: { calls: 1_000, callsPerSecond: 1_000 },
      preferredMedia: zone as MediaId,
      clock: process.clock,
      random: this.random,
      state: this.#state(process, zone),
      sealer: this.sealer,
      tokens: this.#tokens,
      pairSecret: Buffer.alloc(32, 7),
      directories: { directories, refresh: async () => {}, close: () => {} },
      serverName: 'Twinline',
      ...(this.#options.readsForm?.[zone] !== undefined && { readsForm: this.#options.readsForm[zone] }),
      log: this.#log(process),
    });
    this.switches.set(process.id, { zone, process, callSwitch });
    process.onExit(() => callSwitch.stop());
    this.links.connect(process, `zone ${zone}`, (channel) =>
      callSwitch.acceptZone({
        ...asPlain(channel),
        get open() {
          return channel.open;
        },
        onFrame: (handler) => {
          this.#grantees.set(process.id, handler);
          channel.onFrame(handler);
        },
      }),
    );
    this.links.connect(process, 'edge edge1', (channel) => callSwitch.acceptEdge(channel));
    for (const media of ['a', 'b'])
      this.links.connect(process, `media ${media}`, (channel) => callSwitch.acceptMedia(channel));
  }

  #startMedia(zone: ZoneName, process: SimProcess): void {
    const media = new SimMedia(process, this.#ports);
    this.media.set(zone, media);
    this.links.serve(`media ${zone}`, process, (channel) => media.accept(channel));
    this.links.connect(process, `zone ${zone}`, (channel) => media.acceptZone(channel));
    const other = this.media.get(zone === 'a' ? 'b' : 'a');
    if (other?.process.alive) SimMedia.pair(media, other);
  }

  #processesOf(zone: ZoneName): SimProcess[] {
    return [...this.#processes.values()].filter(
      (process) =>
        process.alive && (process.id === zone || (process.role !== 'edge' && process.id.startsWith(zone))),
    );
  }
}

const firstLine = (bytes: Uint8Array): string => {
  const text = Buffer.from(bytes).toString('latin1');
  const cseq = /^CSeq: *(.*)$/im.exec(text)?.[1] ?? '';
  return `${text.slice(0, text.indexOf('\r'))} (${cseq.trim()})`;
};

function withoutOutbox(with_: Sealer, stored: Stored<unknown>): Stored<unknown> {
  if (stored.key.kind !== 'call') return stored;
  const bytes = stored.value as Uint8Array;
  const call = { ...(with_.open(bytes) as object), outbox: [] };
  return { ...stored, value: with_.seal(call, with_.keyOf(bytes)) };
}

/** Runs a script on the world's time: whenever it waits, the clock moves to the next thing that happens. */
export async function play<T>(world: World, script: () => Promise<T>, limitMs = 10 * 60_000): Promise<T> {
  const endMs = world.clock.nowMs() + limitMs;
  let done = false;
  const result = script().finally(() => {
    done = true;
  });
  result.catch(() => {});
  for (;;) {
    await settle();
    if (done) return result;
    const dueMs = world.clock.nextDueMs();
    if (dueMs === undefined || dueMs > endMs)
      throw new Error(`the script still waits after ${limitMs} ms of virtual time`);
    world.clock.runNext();
  }
}

/** Lets virtual time pass inside a script. */
export function pass(world: World, ms: number): Promise<void> {
  return new Promise((resolve) => world.clock.after(ms, resolve));
}

/** Lets the world go on until that moment, or until `done`. */
export async function runUntil(
  world: World,
  endMs: number,
  done: () => boolean = () => false,
): Promise<void> {
  for (;;) {
    await settle();
    if (done()) return;
    const dueMs = world.clock.nextDueMs();
    if (dueMs === undefined || dueMs > endMs) break;
    world.clock.runNext();
  }
  world.clock.advance(Math.max(0, endMs - world.clock.nowMs()));
  await settle();
}
