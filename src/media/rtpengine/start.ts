import { isIPv6 } from 'node:net';
import type { Clock, Logger, MediaId, Random, Timer } from '../../base/index.ts';
import type { RemoteDoor } from '../../link/index.ts';
import { MediaDoor } from '../door.ts';
import { DEFAULT_LIMITS, type MediaLimits, type MediaProcess, type MediaStatus } from '../options.ts';
import type { HandedOver } from '../protocol.ts';
import { RtpengineEngine } from './engine.ts';
import { NgClient } from './ng-client.ts';
import { type RtpengineCommand, RtpengineProcess } from './process.ts';

const WATCH_MS = 1_000;
/** One of ours that was just started, or has ended, is looked at more often. */
const WATCH_AWAY_MS = 100;
/** One of ours that runs so long and answers nothing is ended. `NgClient` has waited 2.5 s of it. */
const HUNG_AFTER_MS = 10_000;

export interface RtpengineMediaOptions {
  readonly id: MediaId;
  /** Where rtpengine takes commands of its ng protocol, by UDP. */
  readonly ng: { readonly address: string; readonly port: number };
  /** Starts an rtpengine there and keeps it running; absent: somebody else does. */
  readonly command?: Omit<RtpengineCommand, 'ng'>;
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
  readonly #process: RtpengineProcess | undefined;
  #stopped = false;
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
    this.#process =
      options.command &&
      new RtpengineProcess({
        command: { ...options.command, ng },
        clock,
        log,
        onEnded: () => {
          this.#engine.ended();
          this.#soon();
        },
      });
  }

  async start(): Promise<void> {
    const { id, ng, clock, log } = this.#options;
    this.#process?.start();
    // Who comes with a call at once is not to be sent away.
    if (this.#process !== undefined) await this.#engine.watch(new Set());
    try {
      await this.#door.listen();
    } catch (error) {
      await this.#process?.stop();
      this.#client.close();
      throw error;
    }
    this.#cpu.atMs = clock.nowMs();
    this.#tick();
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
    this.#stopped = true;
    this.#timer?.cancel();
    this.#engine.stop();
    await this.#door.close();
    await this.#process?.stop();
    this.#client.close();
  }

  #tick(): void {
    this.#arm(WATCH_MS);
    void this.#watch();
    this.#measure();
  }

  async #watch(): Promise<void> {
    await this.#engine.watch(this.#door.owners);
    if (this.#process === undefined || this.#stopped || !this.#engine.away) return;
    if ((this.#process.runsMs ?? 0) > HUNG_AFTER_MS) this.#process.kill();
    this.#soon();
  }

  #soon(): void {
    if (!this.#stopped) this.#arm(WATCH_AWAY_MS);
  }

  #arm(delayMs: number): void {
    this.#timer?.cancel();
    this.#timer = this.#options.clock.after(delayMs, () => this.#tick());
  }

  #measure(): void {
    const { clock } = this.#options;
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
