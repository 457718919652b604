import {
  type EdgeId,
  type Logger,
  type MediaId,
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
import type { Channel, ProcessRef } from '../../src/link/index.ts';
import { challenger } from '../../src/registrar/index.ts';
import {
  type Lease,
  MemoryCluster,
  type MemoryState,
  patientInAdoption,
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
import { Machines, MEDIA_ADDRESS, machineOf, PING } from './machines.ts';
import { type Ports, SimMedia } from './media.ts';
import { type Network, SimNetwork } from './network.ts';
import { SimProcess } from './process.ts';
import { simState } from './state.ts';
import { StateFaults } from './state-faults.ts';

/** A mistake of the product, planted to see that the simulator notices it. */
export type Mistake =
  | 'sends-before-commit'
  | 'forgets-the-outbox'
  | 'speaks-after-its-term'
  | 'takes-any-clock-for-its-own';

export interface WorldOptions extends Partial<Network> {
  readonly seed: number;
  readonly directory: DirectorySnapshot;
  /** The zones are on two machines, the edges on a third: nobody can end a process of another one. */
  readonly twoMachines?: boolean;
  readonly mistake?: Mistake;
  /** The newest form of stored calls that a zone's release reads, where it is not ours: an upgrade is under way. */
  readonly readsForm?: Partial<Record<ZoneName, number>>;
  /** Every event as a line. */
  readonly tell?: (line: string) => void;
}

export type { Network } from './network.ts';
export type Role = ChildRole | 'zone' | 'edge';
export type ZoneName = 'a' | 'b';
export type EdgeName = 'edge1' | 'edge2';
const SWITCHES_PER_ZONE = 2;
/** What the monotonic clocks of machines are apart: only what was told there may be compared with them. */
const AHEAD_MS: Readonly<Record<string, number>> = { a: 0, b: 86_400_000, door: 3_600_000 };
const PAIR_SECRET = Buffer.alloc(32, 7);
const edges: readonly EdgeName[] = ['edge1', 'edge2'];
const PACKETS_MS = 150;
const switchesOf = (zone: ZoneName): SwitchId[] =>
  Array.from({ length: SWITCHES_PER_ZONE }, (_, at) => `${zone}${at + 1}` as SwitchId);

/** Where phones reach an edge. */
export const edgeAddress = (edge: EdgeName): Address => ({
  address: edge === 'edge1' ? '127.0.0.1' : '127.0.0.2',
  port: 5060,
});

/**
 * A data centre in one process, on virtual time: two edges, two zones with their supervisors and switches, pretended media, and a network
 * that loses, delays and repeats by seed. Edges, supervisors and switches are the real code.
 */
export class World {
  readonly clock = new VirtualClock();
  /** Of the processes; the network has its own, so that a call more does not change what befalls the others at once. */
  readonly random;
  readonly history: History;
  /** The wall clock of the machine, which may jump. */
  readonly wallClock = { jumpedMs: 0, utcMs: () => this.clock.utcMs() + this.wallClock.jumpedMs };
  readonly cluster = new MemoryCluster({
    clock: {
      nowMs: () => this.clock.nowMs(),
      utcMs: () => this.wallClock.utcMs(),
      after: (delayMs, action) => this.clock.after(delayMs, action),
    },
  });
  readonly network: SimNetwork;
  readonly stateFaults = new StateFaults();
  readonly edges = new Map<EdgeName, { process: SimProcess; core: EdgeCore }>();
  readonly links: SimLinks;
  readonly zones = new Map<ZoneName, { process: SimProcess; supervisor: Supervisor }>();
  readonly switches = new Map<string, { zone: ZoneName; process: SimProcess; callSwitch: CallSwitch }>();
  readonly media = new Map<ZoneName, SimMedia>();
  readonly machines: Machines | undefined;
  /** Every process that was ended to fence it, in order. */
  readonly fenced: string[] = [];
  /** What each edge should have refused and did not. */
  readonly fenceWatches: FenceWatch[] = [];
  /** The newest network address and port of a phone. */
  readonly phoneNumbers = { host: 0, port: 30_000 };
  readonly sealer: Sealer;
  /** How long a question for registrations waits before it is asked of the state. */
  registrationsWaitMs = 0;
  /** A call has just been written as it now is, and its switch does not know it yet. */
  onCall: ((call: Call, by: SimProcess) => void) | undefined;
  readonly #options: WorldOptions;
  readonly #tokens = new Tokens(Buffer.alloc(32, 7));
  readonly #processes = new Map<number, SimProcess>();
  readonly #ports: Ports = { next: 20_000, taken: new Set() };
  /** Calls as they were written last, while `onCall` looks. */
  readonly #stored = new Map<string, Call>();
  readonly #states: { process: SimProcess; port: MemoryState }[] = [];
  #away: 'rejects' | 'hangs' | undefined;
  /** Zones whose machine does not reach the state. */
  readonly #stateless = new Set<ZoneName>();
  #nextPid = 1_000;
  /** How a supervisor would tell each switch of bundles. */
  readonly #grantees = new Map<string, Parameters<Channel['onFrame']>[0]>();

  constructor(options: WorldOptions) {
    this.#options = options;
    this.random = seededRandom(options.seed);
    this.sealer = sealer({ newest: 1, keys: new Map([[1, Buffer.alloc(32, 9)]]) }, this.random);
    this.history = new History(this.clock, options.tell);
    this.network = new SimNetwork({
      clock: this.clock,
      random: seededRandom(options.seed ^ 0x5eed),
      history: this.history,
      how: options,
    });
    if (options.twoMachines)
      this.machines = new Machines({
        nowMs: () => this.clock.nowMs(),
        living: (zone) => this.processesOf(zone),
        storeMs: (zone) =>
          this.#away !== undefined || this.#stateless.has(zone) || this.stateFaults.full
            ? undefined
            : this.stateFaults.delayMs(0.2 + this.network.chance() * 1.8),
      });
    this.links = new SimLinks({
      ping: (from, to) => (options.twoMachines && machineOf(from) !== machineOf(to) ? PING : undefined),
      world: this.clock,
      delayMs: () => 0.05 + this.network.chance() / 5,
      log: (process) => this.#log(process),
      sent: (from, to, chunk) => {
        this.history.add(`${from.name} > ${to.name} ${chunk.length}`, chunk);
        this.history.pass('between-processes');
      },
    });
    for (const edge of edges) this.startEdge(edge);
    this.startZone('a');
    this.startZone('b');
  }

  // --- what a test does to it -----------------------------------------------------------------------------------------

  kill(process: SimProcess): boolean {
    if (!process.alive) return false;
    this.history.add(`${process.name}#${process.pid} is killed`);
    return process.kill();
  }

  /** What media holds now nobody of ours can open again. */
  takeMediaPorts(): void {
    for (const media of this.media.values())
      for (const { opened } of media.streams.values()) this.#ports.taken.add(opened.port);
  }

  /** SIGKILL for every process of the zone at once. */
  killZone(zone: ZoneName): void {
    for (const process of this.processesOf(zone)) this.kill(process);
  }

  freezeZone(zone: ZoneName): void {
    for (const process of this.processesOf(zone)) process.freeze();
  }

  thawZone(zone: ZoneName): void {
    for (const process of this.processesOf(zone)) process.thaw();
  }

  /** The one that runs under that name, if any. */
  running(role: Role, id: string): SimProcess | undefined {
    return [...this.#processes.values()].find((one) => one.role === role && one.id === id && one.alive);
  }

  process(role: Role, id: string): SimProcess {
    const found = this.running(role, id);
    if (found === undefined) throw new Error(`no ${role} ${id} runs`);
    return found;
  }

  /** Nobody reaches the state until it is `back`; with `only` that process alone does not. */
  stateAway(how: 'rejects' | 'hangs', only?: SimProcess): void {
    if (only === undefined) this.#away = how;
    for (const { process, port } of this.#states) {
      if (process.alive && (only === undefined || process === only)) port.away(how);
    }
  }

  stateBack(): void {
    this.#away = undefined;
    for (const { process, port } of this.#states) if (process.alive) port.back();
  }

  /** No process of that zone's machine reaches the state until `on` is false. */
  stateCut(zone: ZoneName, on: boolean): void {
    if (on) this.#stateless.add(zone);
    else this.#stateless.delete(zone);
    for (const { process, port } of this.#states) {
      if (!process.alive || process.role === 'edge' || !process.id.startsWith(zone)) continue;
      if (on) port.away('rejects');
      else port.back();
    }
  }

  /** The machines of the two zones do not reach each other. */
  cutMachines(on: boolean): void {
    this.cutTwins(on);
    for (const [zone, other] of [
      ['a', 'b'],
      ['b', 'a'],
    ] as const)
      for (const id of switchesOf(zone)) this.cut(`switch ${id}`, `media ${other}`, on);
    if (this.machines !== undefined) this.machines.linked = !on;
    if (!on) for (const media of this.media.values()) if (media.process.alive) media.heard();
  }

  /** A zone's machine does not reach the edges. */
  cutDoor(zone: ZoneName, on: boolean): void {
    for (const id of switchesOf(zone)) for (const edge of edges) this.cut(`switch ${id}`, `edge ${edge}`, on);
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
    this.cut('zone a', 'zone b', on);
  }

  /** `from` is the one that keeps the link. */
  cut(from: string, to: string, on: boolean): void {
    if (on) this.links.cut(from, to);
    else this.links.heal(from, to);
  }

  startZone(zone: ZoneName): void {
    const twin: ZoneName = zone === 'a' ? 'b' : 'a';
    const process = this.#spawn('zone', zone);
    const supervisor = new Supervisor({
      zone: zone as ZoneId,
      twin: twin as ZoneId,
      switches: switchesOf(zone),
      media: [zone],
      ...(this.machines && this.#elsewhere(this.machines, zone, twin, process)),
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
          if (this.machines !== undefined && machineOf(target) !== zone)
            this.machines.broken.push(`zone ${zone} ended ${target.name} of another machine`);
          this.fenced.push(target.name);
          return this.kill(target);
        },
        gone: () => Promise.resolve(),
      },
      look: (ref: ProcessRef) => this.#processes.get(ref.pid)?.facts,
      log: this.#log(process),
    });
    this.zones.set(zone, { process, supervisor });
    this.links.serve(`zone ${zone}`, process, (channel) => supervisor.accept(channel));
    if (zone < twin) this.links.connect(process, `zone ${twin}`, (channel) => supervisor.acceptTwin(channel));
    supervisor.start();
  }

  #elsewhere(machines: Machines, zone: ZoneName, twin: ZoneName, process: SimProcess) {
    return {
      twinElsewhere: {
        own: new Map([[zone, MEDIA_ADDRESS[zone]]]),
        twins: new Map([[twin, MEDIA_ADDRESS[twin]]]),
        moving: machines.moving(zone, process),
      },
      onTaken: () => void this.kill(process),
    };
  }

  // --- processes ------------------------------------------------------------------------------------------------------

  startEdge(id: EdgeName): void {
    const process = this.#spawn('edge', id);
    const fenceWatch = new FenceWatch();
    this.fenceWatches.push(fenceWatch);
    const address = edgeAddress(id);
    const core = new EdgeCore({
      id: id as EdgeId,
      transports: this.network.transportsOf(id as EdgeId, address, () => fenceWatch.passes()),
      tokens: this.#tokens,
      state: this.#state(process, 'a'),
      clock: process.clock,
      random: this.random,
      log: this.#log(process),
      // The other leaves it to the switches, as an edge does that has not read the directory yet.
      ...(id === 'edge1' && { challenge: this.#challenger(process) }),
    });
    this.edges.set(id, { process, core });
    this.network.serve({ id: id as EdgeId, address, process, core });
    this.links.serve(`edge ${id}`, process, (channel) => core.connected(fenceWatch.watch(channel)));
  }

  #challenger({ clock }: SimProcess) {
    const directories = indexDirectories([this.#options.directory]);
    return challenger({
      directories: { directories },
      pairSecret: PAIR_SECRET,
      clock,
      serverName: 'Twinline',
    });
  }

  #spawn(role: string, id: string): SimProcess {
    const machine = this.machines === undefined ? 'one' : role === 'edge' ? 'door' : id[0]!;
    const boot = this.#options.mistake === 'takes-any-clock-for-its-own' ? '' : machine;
    const aheadMs = AHEAD_MS[machine];
    const process = new SimProcess(this.clock, this.wallClock, this.#nextPid++, role, id, aheadMs, boot);
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
    else if (process.role !== 'edge' && this.#stateless.has(zone)) port.away('rejects');
    const { mistake } = this.#options;
    const direct = simState({
      process,
      port,
      zone,
      faults: this.stateFaults,
      delayMs: () => 0.2 + this.network.chance() * 1.8,
      ...(this.machines && process.role === 'zone' && { zones: this.machines.leases(zone, process) }),
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
    return patientInAdoption(direct, { clock: process.clock, log: this.#log(process) });
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
      pairSecret: PAIR_SECRET,
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
          channel.onFrame(this.#deafToTerms(handler));
        },
      }),
    );
    for (const edge of edges)
      this.links.connect(process, `edge ${edge}`, (channel) =>
        callSwitch.acceptEdge(this.machines?.overheard(process, channel) ?? channel),
      );
    for (const media of ['a', 'b'])
      this.links.connect(process, `media ${media}`, (channel) => callSwitch.acceptMedia(channel));
  }

  #startMedia(zone: ZoneName, process: SimProcess): void {
    const media = new SimMedia(process, this.#ports, this.machines);
    if (this.machines !== undefined) this.#overhear(this.machines, media);
    this.media.set(zone, media);
    this.links.serve(`media ${zone}`, process, (channel) => media.accept(channel));
    this.links.connect(process, `zone ${zone}`, (channel) =>
      media.acceptZone({
        ...asPlain(channel),
        onFrame: (handler) => channel.onFrame(this.#deafToTerms(handler)),
      }),
    );
    const other = this.media.get(zone === 'a' ? 'b' : 'a');
    if (other?.process.alive) SimMedia.pair(media, other);
  }

  /** A mistake: whoever runs in the zone takes each term for one without end. */
  #deafToTerms(handler: Parameters<Channel['onFrame']>[0]): Parameters<Channel['onFrame']>[0] {
    if (this.#options.mistake !== 'speaks-after-its-term') return handler;
    return (frame) => handler(frame.kind === 'term' ? { ...frame, data: {} } : frame);
  }

  /** While it has streams and may speak it does, every few packets. */
  #overhear(machines: Machines, media: SimMedia): void {
    const listen = (): void => {
      if (media.speaks && media.streams.size > 0) machines.spoke(media.process, 'its streams');
      media.process.clock.after(PACKETS_MS, listen);
    };
    listen();
  }

  processesOf(zone: ZoneName): SimProcess[] {
    return [...this.#processes.values()].filter(
      (process) =>
        process.alive && (process.id === zone || (process.role !== 'edge' && process.id.startsWith(zone))),
    );
  }
}

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
