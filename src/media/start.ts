import type { PlaybackParts } from '../audio/index.ts';
import { failed, type MediaId, type StreamId, type Timer } from '../base/index.ts';
import { canPassDescriptors, openUdpLoop, raisePriority, type UdpLoop } from '../native/index.ts';
import { releaseKeys } from './apply-spec.ts';
import { OUR_CAPABILITIES } from './capabilities.ts';
import { MediaCore } from './core.ts';
import { MediaDoor } from './door.ts';
import { Dtls } from './dtls.ts';
import { goOnExactly } from './exact.ts';
import { HandOver } from './hand-over.ts';
import { MirrorOwner } from './mirror-owner.ts';
import { type Handed, MirrorStandBy } from './mirror-stand-by.ts';
import { tickNegotiation } from './negotiation.ts';
import { DEFAULT_LIMITS, type MediaOptions, type MediaProcess, type MediaStatus } from './options.ts';
import { ownAddresses } from './own-addresses.ts';
import { AudioPlane } from './plane/plane.ts';
import { warmUpAudio } from './plane/warm-up.ts';
import { PortPairs } from './ports.ts';
import type { HandedOver, MediaEvent } from './protocol.ts';
import { Reporter } from './reporting.ts';
import { ALIVE_EVERY_MS, SocketPort } from './socket-port.ts';
import type { Stream } from './stream.ts';
import { prepare, readBacklog } from './take-over.ts';
import { warmUp } from './warm-up.ts';

const TICK_MS = ALIVE_EVERY_MS;
const TICKS_PER_SECOND = 4;
/** A process that is to end waits this long for a twin that is slow to take its streams. */
const HAND_OVER_WAIT_MS = 1000;

/** Starts serving. Rejects with `TwinlineError` naming the path, address or port range that cannot be used. */
export async function startMedia(options: MediaOptions): Promise<MediaProcess> {
  const loop = openUdpLoop();
  try {
    return await new Media(options, loop).start();
  } catch (error) {
    loop.close();
    throw error;
  }
}

class Media implements MediaProcess {
  readonly #options: MediaOptions;
  readonly #loop: UdpLoop;
  readonly #port: SocketPort;
  readonly #pairs: PortPairs;
  readonly #core: MediaCore;
  readonly #owner: MirrorOwner;
  readonly #standBy: MirrorStandBy;
  readonly #handOver: HandOver;
  readonly #dtls: Dtls;
  readonly #plane: AudioPlane;
  readonly #reporter: Reporter;
  readonly #door: MediaDoor;
  #stopping = false;
  #emptying = false;
  #timer: Timer | undefined;
  #ticks = 0;
  #second = { packets: 0, perSecond: 0, cpuUs: 0, cpuPercent: 0, atMs: 0 };

  constructor(options: MediaOptions, loop: UdpLoop) {
    const { clock, log, random, id } = options;
    const limits = { ...DEFAULT_LIMITS, ...options.limits };
    this.#options = options;
    this.#loop = loop;
    this.#door = this.#openDoor(options);
    this.#pairs = new PortPairs({
      range: options.portRange,
      restMs: limits.portRestMs,
      dscp: limits.dscp,
      clock,
      random,
      loop,
    });
    if (options.movingAddress !== true) this.#checkAddresses();
    this.#standBy = new MirrorStandBy({
      clock,
      log,
      loop,
      successor: {
        takeOver: (from, streams, pid) => this.#takeOver(from, streams, pid),
        receive: (from, handed) => this.#receive(from, handed),
        takesMore: () => !this.#stopping,
        standsBy: (stream) => this.#handOver.taken(stream),
        learn: (epochs) => {
          for (const epoch of epochs) this.#core.epochs.learn(epoch);
        },
      },
      openEarly: ({ address, port }) => this.#pairs.openEarly(address, port),
    });
    this.#owner = new MirrorOwner({
      id,
      twin: options.twinMirror,
      random,
      clock,
      log,
      twinWaitMs: limits.twinWaitMs,
      streams: () => this.#core.graph,
      standsBy: (stream) => this.#standBy.standsBy(stream) || this.#handOver.has(stream),
      epochs: () => this.#core.epochs,
      hears: (pid) => this.#standBy.hears(pid),
    });
    this.#port = new SocketPort({
      clock,
      log,
      commit: (stream) => this.#owner.commit(stream),
      event: (event) => this.#door.tell(event),
    });
    this.#dtls = new Dtls({ clock, log, identities: options.dtls ?? [] });
    this.#core = new MediaCore({
      id,
      addresses: options.addresses,
      clock,
      random,
      log,
      limits,
      mirror: this.#owner,
      openSockets: (address) => this.#pairs.open(address),
      openSocketsAt: ({ address, port }) => this.#pairs.openAt(address, port),
      isOurs: ownAddresses(options),
      start: (stream) => this.#port.start(stream),
      fingerprint: (spec) => this.#dtls.fingerprint(spec),
      negotiate: (stream) => {
        this.#dtls.attend(this.#port, stream);
        tickNegotiation(this.#port, stream, clock.nowMs());
      },
      closeSockets: (stream) => this.#closeSockets(stream),
      event: (event) => this.#door.tell(event),
    });
    this.#core.addressAway = options.movingAddress === true;
    this.#plane = new AudioPlane({
      clock,
      log,
      graph: this.#core.graph,
      relay: this.#port.relay,
      event: (event) => this.#door.tell(event),
      note: (stream) => this.#port.note(stream),
      parts: options.sounds ?? NO_SOUNDS,
      ...(options.taps && { taps: options.taps }),
    });
    this.#reporter = new Reporter({ clock, random, port: this.#port });
    this.#handOver = new HandOver({
      alsoHears: (stream) => this.#plane.company(stream),
      clock,
      log,
      graph: this.#core.graph,
      giver: this.#owner,
      start: (stream) => this.#port.start(stream),
      release: (stream) => {
        this.#closeSockets(stream);
        releaseKeys(stream);
      },
    });
  }

  async start(): Promise<this> {
    const { id, clock, log, mirrorPath } = this.#options;
    // On a full machine voice would else wait its turn: 15 runnable processes on two cores made gaps of 170 to 510 ms out of 80 to 125.
    if (this.#options.priority !== 'ordinary') raisePriority();
    warmUp(clock.nowMs());
    warmUpAudio();
    await this.#door.listen();
    if (canPassDescriptors) {
      try {
        this.#standBy.listen(mirrorPath);
        if (this.#options.mirrorDoor) await this.#standBy.listenRemotely({ id }, this.#options.mirrorDoor);
      } catch (error) {
        await this.#door.close();
        throw error;
      }
      this.#owner.start();
    } else log.warn({ media: id }, 'media.no-take-over-on-this-platform');
    this.#second.atMs = clock.nowMs();
    this.#timer = clock.after(TICK_MS, () => this.#tick());
    log.info(
      { media: id, ports: this.#options.portRange, addresses: this.#options.addresses },
      'media.started',
    );
    return this;
  }

  status(): MediaStatus {
    return {
      streams: this.#core.graph.size,
      addresses: [...new Set([...this.#core.graph].map(({ local }) => local.address))],
      draining: this.#core.draining,
      standingBy: this.#standBy.streams,
      twinConnected: this.#owner.connected,
      packetsPerSecond: this.#second.perSecond,
      cpuPercent: this.#second.cpuPercent,
      rssKib: Math.round(process.memoryUsage.rss() / 1024),
      portsFree: this.#pairs.free,
    };
  }

  async drain(on: boolean): Promise<HandedOver> {
    this.#core.draining = on;
    this.#options.log.info({ on, streams: this.#core.graph.size }, 'media.draining');
    this.#door.tellDraining();
    return on ? this.#empty() : { handed: 0, remaining: this.#core.graph.size };
  }

  term(untilMs = Number.POSITIVE_INFINITY): void {
    this.#port.term(untilMs);
  }

  addressHere(here: boolean): void {
    this.#core.addressAway = !here;
    this.#door.tellDraining();
  }

  takeOver(media: readonly MediaId[], spokeUntilMs: number): void {
    this.#standBy.takeDistant(media, spokeUntilMs);
  }

  get #takesNone(): boolean {
    return this.#core.draining || this.#core.addressAway;
  }

  handOver(streams?: readonly StreamId[]): Promise<HandedOver> {
    return this.#handOver.run(streams);
  }

  async stop({ handOver } = { handOver: true }): Promise<void> {
    this.#stopping = true;
    this.#timer?.cancel();
    if (handOver && this.#core.graph.size > 0) {
      let late: Timer | undefined;
      const wait = new Promise<void>((resolve) => {
        late = this.#options.clock.after(HAND_OVER_WAIT_MS, resolve);
      });
      await Promise.race([this.#handOver.run(), wait]);
      late?.cancel();
    }
    // The twin must find nobody else at the sockets when it hears of it.
    for (const stream of this.#core.graph) {
      stream.sockets?.rtp.pause();
      stream.sockets?.rtcp.pause();
    }
    this.#plane.stop();
    this.#owner.progress(this.#core.graph);
    this.#owner.stop(handOver);
    this.#standBy.stop();
    this.#core.closeAll();
    this.#dtls.close();
    await this.#door.close();
    this.#loop.close();
  }

  #openDoor({ id, clock, log, listenPath, remoteDoor }: MediaOptions): MediaDoor {
    const takesNone = (): boolean => this.#takesNone;
    return new MediaDoor({
      ...{ id, clock, log, listenPath, remoteDoor },
      engine: {
        capabilities: OUR_CAPABILITIES,
        get takesNone() {
          return takesNone();
        },
        put: (stream, owner, opened) => this.#core.put(stream, owner, opened),
        own: (bundles) => {
          for (const { bundle, epoch } of bundles) this.#core.epochs.check(bundle, epoch);
        },
        find: (streams) => this.#core.find(streams),
        close: (bundle, epoch, streams) => this.#core.close(bundle, epoch, streams),
        drain: (on) => this.drain(on),
        handOver: (streams) => this.handOver(streams),
        missed: () => this.#adoptions(),
      },
    });
  }

  /** A switch that was away when we took streams over would look for them at their old place for ever. */
  #adoptions(): MediaEvent[] {
    const byOrigin = new Map<MediaId, StreamId[]>();
    for (const { adoptedFrom, id } of this.#core.graph) {
      if (adoptedFrom === undefined) continue;
      const streams = byOrigin.get(adoptedFrom);
      if (streams === undefined) byOrigin.set(adoptedFrom, [id]);
      else streams.push(id);
    }
    return [...byOrigin].map(([from, streams]) => ({ type: 'adopted', from, streams }));
  }

  /** The process is dead: its streams go on here, and those that we had given to it. */
  #takeOver(from: MediaId, mirrored: Stream[], pid: number): void {
    const streams = [...mirrored, ...this.#handOver.takeBack(pid, mirrored)];
    if (streams.length === 0) return;
    const { clock } = this.#options;
    const startMs = clock.nowMs();
    for (const stream of streams) prepare(stream, startMs);
    const { passed, tooOld } = this.#goOn(from, streams);
    const tookMs = Math.round((clock.nowMs() - startMs) * 100) / 100;
    this.#options.log.warn({ from, streams: streams.length, passed, tooOld, tookMs }, 'media.taken-over');
    this.#door.tell({ type: 'adopted', from, streams: streams.map((stream) => stream.id) });
    for (const stream of streams) void this.#owner.put(stream);
  }

  /** The twin lives and has given us these. It is told that we have them before the first packet is read. */
  async #receive(from: MediaId, handed: readonly Handed[]): Promise<void> {
    const { clock, log } = this.#options;
    const nowMs = clock.nowMs();
    const streams = handed.map(({ stream }) => stream);
    for (const { stream, exact } of handed) {
      if (exact === undefined) prepare(stream, nowMs);
      else goOnExactly(stream, exact, nowMs);
    }
    const told = streams.map((stream) => this.#owner.put(stream));
    const { passed, tooOld } = this.#goOn(from, streams);
    log.info({ from, streams: streams.length, passed, tooOld }, 'media.received');
    this.#door.tell({ type: 'adopted', from, streams: streams.map((stream) => stream.id) });
    await Promise.all(told);
  }

  #goOn(from: MediaId, streams: readonly Stream[]): { passed: number; tooOld: number } {
    for (const stream of streams) stream.adoptedFrom = from;
    this.#core.adopt(streams);
    for (const stream of streams) this.#dtls.attend(this.#port, stream);
    let passed = 0;
    let tooOld = 0;
    for (const stream of streams) {
      const backlog = readBacklog(stream, this.#port.relay, this.#options.clock);
      passed += backlog.passed;
      tooOld += backlog.tooOld;
      this.#port.start(stream);
    }
    return { passed, tooOld };
  }

  async #empty(): Promise<HandedOver> {
    this.#emptying = true;
    try {
      return await this.#handOver.run();
    } finally {
      this.#emptying = false;
    }
  }

  #tick(): void {
    this.#timer = this.#options.clock.after(TICK_MS, () => this.#tick());
    this.#port.alive(this.#options.clock.nowMs());
    const here = this.#door.owners;
    this.#core.tick((owner) => here.has(owner));
    for (const stream of this.#core.graph) this.#reporter.attend(stream);
    if (++this.#ticks % TICKS_PER_SECOND !== 0) return;
    this.#owner.progress(this.#core.graph);
    // What could not go at first: the twin was away, or a stream was just being opened.
    if (this.#core.draining && !this.#emptying && this.#owner.connected && this.#core.graph.size > 0)
      void this.#empty();
    const nowMs = this.#options.clock.nowMs();
    const seconds = (nowMs - this.#second.atMs) / 1000;
    const { user, system } = process.cpuUsage();
    const packets = this.#port.packetsRelayed;
    const cpuUs = user + system;
    this.#second = {
      packets,
      perSecond: Math.round((packets - this.#second.packets) / seconds),
      cpuUs,
      cpuPercent: Math.round((cpuUs - this.#second.cpuUs) / seconds / 1000) / 10,
      atMs: nowMs,
    };
  }

  #closeSockets(stream: Stream): void {
    stream.sockets?.rtp.close();
    stream.sockets?.rtcp.close();
    this.#pairs.release(stream.local.port);
  }

  /** A wrong address shall stop the start, not the first call. */
  #checkAddresses(): void {
    const { addresses } = this.#options;
    for (const address of [addresses[4], addresses[6]])
      if (address !== undefined) this.#loop.open({ address, port: 0 }).close();
  }
}

const NO_SOUNDS: PlaybackParts = {
  asset: async (name) =>
    failed({ code: 'asset_missing', message: `${name}: this media process has no folder of assets` }),
  speech: async () => failed({ code: 'speech_missing', message: 'this media process has no voice' }),
};
