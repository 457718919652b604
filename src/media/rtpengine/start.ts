import { isIPv6 } from 'node:net';
import type { Clock, Logger, MediaId, Random, Timer } from '../../base/index.ts';
import type { RemoteDoor } from '../../link/index.ts';
import { MediaDoor } from '../door.ts';
import { DEFAULT_LIMITS, type MediaLimits, type MediaProcess, type MediaStatus } from '../options.ts';
import type { HandedOver } from '../protocol.ts';
import { RtpengineEngine } from './engine.ts';
import { NgClient } from './ng-client.ts';

const WATCH_MS = 1_000;

export interface RtpengineMediaOptions {
  readonly id: MediaId;
  /** Where rtpengine takes commands of its ng protocol, by UDP. */
  readonly ng: { readonly address: string; readonly port: number };
  /** By which streams reach each other inside rtpengine; absent: that of the ng address. */
  readonly innerFamily?: 4 | 6;
  /** As `MediaOptions.listenPath`. */
  readonly listenPath: string;
  readonly remoteDoor?: RemoteDoor | undefined;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly limits?: Partial<MediaLimits>;
}

/**
 * Starts a process that speaks as a media process does, and has rtpengine carry the streams. It serves while rtpengine is away, and sends
 * switches to its twin. Rejects with `TwinlineError` naming the path where it cannot listen.
 */
export async function startRtpengineMedia(options: RtpengineMediaOptions): Promise<MediaProcess> {
  const media = new RtpengineMedia(options);
  await media.start();
  return media;
}

class RtpengineMedia implements MediaProcess {
  readonly #options: RtpengineMediaOptions;
  readonly #client: NgClient;
  readonly #engine: RtpengineEngine;
  readonly #door: MediaDoor;
  #timer: Timer | undefined;
  #cpu = { us: 0, atMs: 0, percent: 0 };

  constructor(options: RtpengineMediaOptions) {
    const { id, clock, random, log, listenPath, remoteDoor, ng } = options;
    this.#options = options;
    this.#client = new NgClient({ ...ng, clock, random });
    this.#engine = new RtpengineEngine({
      ...{ id, clock, random, log },
      client: this.#client,
      innerFamily: options.innerFamily ?? (isIPv6(ng.address) ? 6 : 4),
      limits: { ...DEFAULT_LIMITS, ...options.limits },
      event: (event) => this.#door.tell(event),
      turned: () => this.#door.tellDraining(),
    });
    this.#door = new MediaDoor({ id, listenPath, remoteDoor, clock, log, engine: this.#engine });
  }

  async start(): Promise<void> {
    const { id, ng, clock, log } = this.#options;
    try {
      await this.#door.listen();
    } catch (error) {
      this.#client.close();
      throw error;
    }
    this.#tick();
    this.#cpu.atMs = clock.nowMs();
    log.info({ media: id, ng: `${ng.address}:${ng.port}` }, 'rtpengine.media_started');
  }

  status(): MediaStatus {
    return {
      streams: this.#engine.streams,
      addresses: this.#engine.addresses,
      draining: this.#engine.draining,
      standingBy: 0,
      twinConnected: false,
      packetsPerSecond: this.#engine.packetsPerSecond,
      cpuPercent: this.#cpu.percent,
      rssKib: Math.round(process.memoryUsage.rss() / 1024),
    };
  }

  drain(on: boolean): Promise<HandedOver> {
    return this.#engine.drain(on);
  }

  handOver(): Promise<HandedOver> {
    return this.#engine.handOver();
  }

  /** Terms, moving addresses and twins' streams are for engines that adopt in place. */
  term(): void {}
  addressHere(): void {}
  takeOver(): void {}

  async stop(): Promise<void> {
    this.#timer?.cancel();
    this.#engine.stop();
    await this.#door.close();
    this.#client.close();
  }

  #tick(): void {
    const { clock } = this.#options;
    this.#timer = clock.after(WATCH_MS, () => this.#tick());
    void this.#engine.watch(this.#door.owners);
    const { user, system } = process.cpuUsage();
    const seconds = (clock.nowMs() - this.#cpu.atMs) / 1000;
    if (seconds <= 0) return;
    const us = user + system;
    this.#cpu = {
      us,
      atMs: clock.nowMs(),
      percent: Math.round((us - this.#cpu.us) / seconds / 1000) / 10,
    };
  }
}
