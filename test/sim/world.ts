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
import type { DirectorySnapshot } from '../../src/directory/index.ts';
import { indexDirectories } from '../../src/directory/index.ts';
import { type Address, EdgeCore } from '../../src/edge/index.ts';
import type { Flow, ProcessRef } from '../../src/link/index.ts';
import { MemoryCluster, type MemoryState, sealer } from '../../src/state/index.ts';
import { CallSwitch } from '../../src/switch/index.ts';
import { type ChildRole, Supervisor } from '../../src/zone/index.ts';
import { settle } from '../support/virtual-time.ts';
import { SimMedia } from './media.ts';
import { SimLinks, SimProcess } from './process.ts';

export interface WorldOptions {
  readonly seed: number;
  readonly directory: DirectorySnapshot;
  /** One-way, between phones and edge. */
  readonly lossRatio?: number;
  readonly duplicateRatio?: number;
  readonly delayMs?: { readonly min: number; readonly max: number };
}

/** With TWINLINE_SIM_LOG set every process of the world tells what it does, with the virtual time. */
function worldLog(clock: VirtualClock, process: SimProcess): Logger {
  if (globalThis.process.env['TWINLINE_SIM_LOG'] === undefined) return silentLogger;
  const tell = (fields: object, event: string) =>
    console.log(
      `${clock.nowMs().toFixed(1)} ${process.name}#${process.pid} ${event} ${JSON.stringify(fields)}`,
    );
  return { debug: tell, info: tell, warn: tell, error: tell, child: () => worldLog(clock, process) };
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
  readonly random;
  readonly cluster = new MemoryCluster({ clock: this.clock });
  readonly links: SimLinks;
  readonly zones = new Map<ZoneName, { process: SimProcess; supervisor: Supervisor; state: MemoryState }>();
  readonly switches = new Map<string, { process: SimProcess; callSwitch: CallSwitch }>();
  readonly media = new Map<ZoneName, SimMedia>();
  /** Every process that was ended to fence it, in order. */
  readonly fenced: string[] = [];
  readonly edgeAddress: Address = { address: '127.0.0.1', port: 5060 };
  #edge!: { process: SimProcess; core: EdgeCore };
  readonly #options: WorldOptions;
  readonly #tokens = new Tokens(Buffer.alloc(32, 7));
  readonly #processes = new Map<number, SimProcess>();
  readonly #phones = new Map<string, SimPeer>();
  readonly #ports = { next: 20_000 };

  constructor(options: WorldOptions) {
    this.#options = options;
    this.random = seededRandom(options.seed);
    this.links = new SimLinks(this.clock, () => 0.05 + randomBelow(this.random, 20) / 100);
    this.#startEdge();
    this.startZone('a');
    this.startZone('b');
  }

  get edge(): EdgeCore {
    return this.#edge.core;
  }

  // --- what a test does to it -----------------------------------------------------------------------------------------

  /** SIGKILL for every process of the zone at once. */
  killZone(zone: ZoneName): void {
    for (const process of this.#processesOf(zone)) process.kill();
  }

  freezeZone(zone: ZoneName): void {
    for (const process of this.#processesOf(zone)) process.freeze();
  }

  thawZone(zone: ZoneName): void {
    for (const process of this.#processesOf(zone)) process.thaw();
  }

  process(role: ChildRole | 'zone', id: string): SimProcess {
    const found = [...this.#processes.values()].find(
      (one) => one.role === role && one.id === id && one.alive,
    );
    if (found === undefined) throw new Error(`no ${role} ${id} runs`);
    return found;
  }

  startZone(zone: ZoneName): void {
    const twin: ZoneName = zone === 'a' ? 'b' : 'a';
    const process = this.#spawn('zone', zone);
    const state = this.cluster.open(zone as ZoneId, twin as ZoneId);
    const supervisor = new Supervisor({
      zone: zone as ZoneId,
      twin: twin as ZoneId,
      switches: Array.from({ length: SWITCHES_PER_ZONE }, (_, at) => `${zone}${at + 1}` as SwitchId),
      media: [zone],
      clock: process.clock,
      random: this.random,
      state,
      spawner: { spawn: (role, id) => this.#spawnChild(zone, role, id) },
      ender: {
        running: (ref: ProcessRef) => this.#processes.get(ref.pid)?.alive ?? false,
        end: (ref: ProcessRef) => {
          if (!process.alive || process.frozen) return false;
          const target = this.#processes.get(ref.pid);
          if (target?.alive) this.fenced.push(target.name);
          return target?.kill() ?? false;
        },
        gone: () => Promise.resolve(),
      },
      log: worldLog(this.clock, process),
      self: process.peer,
    });
    this.zones.set(zone, { process, supervisor, state });
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
      if (!this.#edge.process.alive) return;
      this.#edge.core.receive(this.#flow(from), bytes);
    });
  }

  #toPhone(bytes: Uint8Array, to: Address): void {
    this.#carry(() => this.#phones.get(`${to.address}:${to.port}`)?.receive(bytes, this.edgeAddress));
  }

  #carry(deliver: () => void): void {
    const { lossRatio = 0, duplicateRatio = 0, delayMs = { min: 1, max: 1 } } = this.#options;
    const chance = () => randomBelow(this.random, 1_000_000) / 1_000_000;
    const copies = chance() < lossRatio ? 0 : chance() < duplicateRatio ? 2 : 1;
    for (let copy = 0; copy < copies; copy++) {
      this.clock.after(delayMs.min + chance() * (delayMs.max - delayMs.min), deliver);
    }
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
          const parts = flow.split(':');
          this.#toPhone(bytes, remote ?? { address: parts[3] ?? '', port: Number(parts[4]) });
          return true;
        },
        close: () => {},
      },
      tokens: this.#tokens,
      state: this.cluster.open('a' as ZoneId, 'b' as ZoneId),
      clock: process.clock,
      random: this.random,
      log: worldLog(this.clock, process),
    });
    this.#edge = { process, core };
    this.links.serve('edge edge1', process, (channel) => core.connected(channel));
  }

  #spawn(role: string, id: string): SimProcess {
    const process = new SimProcess(this.clock, role, id);
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

  #startSwitch(zone: ZoneName, process: SimProcess): void {
    const twin: ZoneName = zone === 'a' ? 'b' : 'a';
    const directories = indexDirectories([this.#options.directory]);
    const callSwitch = new CallSwitch({
      id: process.id as SwitchId,
      zone: zone as ZoneId,
      switchesInZone: SWITCHES_PER_ZONE,
      capacity: { calls: 1_000, callsPerSecond: 1_000 },
      preferredMedia: zone as MediaId,
      clock: process.clock,
      random: this.random,
      state: this.cluster.open(zone as ZoneId, twin as ZoneId),
      sealer: sealer({ newest: 1, keys: new Map([[1, Buffer.alloc(32, 9)]]) }, this.random),
      tokens: this.#tokens,
      pairSecret: Buffer.alloc(32, 7),
      directories: { directories, refresh: async () => {}, close: () => {} },
      serverName: 'Twinline',
      log: worldLog(this.clock, process),
    });
    this.switches.set(process.id, { process, callSwitch });
    process.onExit(() => callSwitch.stop());
    this.links.connect(process, `zone ${zone}`, (channel) => callSwitch.acceptZone(channel));
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
