import { type BundleId, type MediaId, type StreamId, type Timer, TwinlineError } from '../base/index.ts';
import { type Channel, type Frame, listenLink, PROTOCOL_VERSION } from '../link/index.ts';
import {
  canPassDescriptors,
  openUdpLoop,
  processStartTime,
  raisePriority,
  type UdpLoop,
} from '../native/index.ts';
import { MediaCore } from './core.ts';
import { MirrorOwner } from './mirror-owner.ts';
import { MirrorStandBy } from './mirror-stand-by.ts';
import { DEFAULT_LIMITS, type MediaOptions, type MediaProcess, type MediaStatus } from './options.ts';
import { PortPairs } from './ports.ts';
import type { MediaEvent } from './protocol.ts';
import { SocketPort } from './socket-port.ts';
import type { Stream } from './stream.ts';
import { prepare, readBacklog } from './take-over.ts';
import { warmUp } from './warm-up.ts';

const TICK_MS = 250;
const TICKS_PER_SECOND = 4;

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
  readonly #channels = new Set<Channel>();
  #listener: { close(): Promise<void> } | undefined;
  #timer: Timer | undefined;
  #ticks = 0;
  #second = { packets: 0, perSecond: 0, cpuUs: 0, cpuPercent: 0, atMs: 0 };

  constructor(options: MediaOptions, loop: UdpLoop) {
    const { clock, log, random, id } = options;
    const limits = { ...DEFAULT_LIMITS, ...options.limits };
    this.#options = options;
    this.#loop = loop;
    this.#pairs = new PortPairs({
      range: options.portRange,
      restMs: limits.portRestMs,
      dscp: limits.dscp,
      clock,
      random,
      loop,
    });
    this.#checkAddresses();
    this.#standBy = new MirrorStandBy({
      clock,
      log,
      loop,
      takeOver: (from, streams) => this.#takeOver(from, streams),
    });
    this.#owner = new MirrorOwner({
      id,
      path: options.twinMirrorPath,
      clock,
      log,
      twinWaitMs: limits.twinWaitMs,
      streams: () => this.#core.graph,
      standsBy: (stream) => this.#standBy.standsBy(stream),
    });
    this.#port = new SocketPort({
      clock,
      log,
      commit: (stream) => this.#owner.commit(stream),
      event: (event) => this.#tell(event),
    });
    this.#core = new MediaCore({
      id,
      addresses: options.addresses,
      clock,
      random,
      log,
      limits,
      mirror: this.#owner,
      openSockets: (address) => this.#pairs.open(address),
      start: (stream) => this.#port.start(stream),
      closeSockets: (stream) => this.#closeSockets(stream),
      event: (event) => this.#tell(event),
    });
  }

  async start(): Promise<this> {
    const { id, clock, log, listenPath, mirrorPath } = this.#options;
    // On a full machine voice would else wait its turn: 15 runnable processes on two cores made gaps of 170 to 510 ms out of 80 to 125.
    if (this.#options.priority !== 'ordinary') raisePriority();
    warmUp(clock.nowMs());
    this.#listener = await listenLink({
      path: listenPath,
      self: { role: 'media', id, pid: process.pid, startTime: processStartTime(process.pid) },
      clock,
      log,
      onChannel: (channel) => this.#serve(channel),
      refuse: (peer) => (peer.role === 'media' ? 'media processes use the mirror socket' : undefined),
    });
    if (canPassDescriptors) {
      try {
        this.#standBy.listen(mirrorPath);
      } catch (error) {
        await this.#listener.close();
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
      standingBy: this.#standBy.streams,
      twinConnected: this.#owner.connected,
      packetsPerSecond: this.#second.perSecond,
      cpuPercent: this.#second.cpuPercent,
      rssKib: Math.round(process.memoryUsage.rss() / 1024),
      portsFree: this.#pairs.free,
    };
  }

  async stop({ handOver } = { handOver: true }): Promise<void> {
    this.#timer?.cancel();
    // The twin must find nobody else at the sockets when it hears of it.
    for (const stream of this.#core.graph) {
      stream.sockets?.rtp.pause();
      stream.sockets?.rtcp.pause();
    }
    this.#owner.progress(this.#core.graph);
    this.#owner.stop(handOver);
    this.#standBy.stop();
    this.#core.closeAll();
    for (const channel of this.#channels) channel.close('the media process stops');
    await this.#listener?.close();
    this.#loop.close();
  }

  #serve(channel: Channel): void {
    this.#channels.add(channel);
    channel.onClose(() => this.#channels.delete(channel));
    channel.onFrame((frame) => this.#answer(channel, frame));
  }

  async #answer(channel: Channel, frame: Frame): Promise<Frame | undefined> {
    const data = (frame.data ?? {}) as Record<string, unknown>;
    switch (frame.kind) {
      case 'greet':
        if (data.version !== PROTOCOL_VERSION)
          throw new TwinlineError(
            'version',
            `${channel.peer.id} speaks version ${data.version} of the protocol, media speaks ${PROTOCOL_VERSION}`,
          );
        this.#tellAdopted(channel);
        return undefined;
      case 'put':
        return { kind: 'put', data: await this.#core.put(data.stream, channel.peer.id) };
      case 'close': {
        const { bundle, epoch, streams } = data;
        if (typeof bundle !== 'string' || typeof epoch !== 'number' || !Array.isArray(streams))
          throw new TwinlineError('bad_spec', 'a close names bundle, epoch and streams');
        const reports = this.#core.close(bundle as BundleId, epoch, streams as StreamId[]);
        return { kind: 'close', data: { reports } };
      }
      default:
        throw new TwinlineError('unknown_kind', `media knows no command ${JSON.stringify(frame.kind)}`);
    }
  }

  /** Every switch hears every event: the one that has the call is not known here after a switch died. */
  #tell(event: MediaEvent): void {
    for (const channel of this.#channels) {
      if (channel.peer.role !== 'switch') continue;
      const lane = event.type === 'adopted' ? 'priority' : 'normal';
      if (!channel.send({ kind: 'event', data: event, lane }))
        this.#options.log.warn({ to: channel.peer.id, event: event.type }, 'media.event-lost');
    }
  }

  /** A switch that was away when we took streams over would look for them at their old place for ever. */
  #tellAdopted(channel: Channel): void {
    const byOrigin = new Map<MediaId, StreamId[]>();
    for (const { adoptedFrom, id } of this.#core.graph) {
      if (adoptedFrom === undefined) continue;
      const streams = byOrigin.get(adoptedFrom);
      if (streams === undefined) byOrigin.set(adoptedFrom, [id]);
      else streams.push(id);
    }
    for (const [from, streams] of byOrigin)
      channel.send({ kind: 'event', data: { type: 'adopted', from, streams }, lane: 'priority' });
  }

  #takeOver(from: MediaId, streams: Stream[]): void {
    const { clock, log } = this.#options;
    const startMs = clock.nowMs();
    for (const stream of streams) {
      prepare(stream);
      stream.adoptedFrom = from;
    }
    this.#core.adopt(streams);
    let passed = 0;
    let tooOld = 0;
    for (const stream of streams) {
      const backlog = readBacklog(stream, this.#port.relay, clock);
      passed += backlog.passed;
      tooOld += backlog.tooOld;
      this.#port.start(stream);
    }
    const tookMs = Math.round((clock.nowMs() - startMs) * 100) / 100;
    log.warn({ from, streams: streams.length, passed, tooOld, tookMs }, 'media.taken-over');
    this.#tell({ type: 'adopted', from, streams: streams.map((stream) => stream.id) });
    for (const stream of streams) void this.#owner.put(stream);
  }

  #tick(): void {
    this.#timer = this.#options.clock.after(TICK_MS, () => this.#tick());
    this.#core.tick((owner) => [...this.#channels].some((channel) => channel.peer.id === owner));
    if (++this.#ticks % TICKS_PER_SECOND !== 0) return;
    this.#owner.progress(this.#core.graph);
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
