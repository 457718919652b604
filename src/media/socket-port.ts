import type { Clock, Logger } from '../base/index.ts';
import type { PacketBatch, UdpAddress } from '../native/index.ts';
import type { MediaEvent } from './protocol.ts';
import { Relay, type RelayPort } from './relay.ts';
import type { Stream } from './stream.ts';
import { passBacklog } from './take-over.ts';

export const ALIVE_EVERY_MS = 250;
/** A process that is merely short of CPU is late by some ten milliseconds; what waits longer is delay in the peer's jitter buffer. */
const STOOD_STILL_MS = ALIVE_EVERY_MS + 250;

/** Between sockets and the packet path: hands batches in, lets packets out of the slots they lie in. */
export class SocketPort implements RelayPort {
  readonly relay: Relay;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #commit: (stream: Stream) => boolean;
  readonly #event: (event: MediaEvent) => void;
  /** While a batch is handled: it and the packet's place in it. */
  #batch: PacketBatch | undefined;
  #index = 0;
  packetsRelayed = 0;
  #failures = 0;
  /** When this process was last known to run, and how often it was found to have stood still before that. */
  #aliveMs: number;
  #standstills = 0;
  /** After that nothing passes: another may own the streams. */
  #untilMs = Number.POSITIVE_INFINITY;
  #isSilent = false;

  constructor(options: {
    clock: Clock;
    log: Logger;
    commit: (stream: Stream) => boolean;
    event: (event: MediaEvent) => void;
  }) {
    this.#clock = options.clock;
    this.#log = options.log;
    this.#commit = options.commit;
    this.#event = options.event;
    this.relay = new Relay(this);
    this.#aliveMs = options.clock.nowMs();
  }

  /** To be called at least every `ALIVE_EVERY_MS`: when it was not, this process was frozen, and what waits is old. */
  alive(nowMs: number): void {
    this.#maySpeak(nowMs);
    const stoodMs = nowMs - this.#aliveMs;
    this.#aliveMs = nowMs;
    if (stoodMs <= STOOD_STILL_MS) return;
    this.#standstills++;
    this.#log.warn({ forMs: Math.round(stoodMs) }, 'media.stood-still');
  }

  /** What comes and goes passes until then. */
  term(untilMs: number): void {
    this.#untilMs = untilMs;
    this.#maySpeak(this.#clock.nowMs());
  }

  #maySpeak(nowMs: number): boolean {
    const isSilent = nowMs >= this.#untilMs;
    if (isSilent !== this.#isSilent) {
      this.#isSilent = isSilent;
      this.#log.warn({ isSilent }, isSilent ? 'media.says-nothing-more' : 'media.speaks-again');
    }
    return !isSilent;
  }

  /** The stream's sockets receive from now on. */
  start(stream: Stream): void {
    stream.standstills.rtp = stream.standstills.rtcp = this.#standstills;
    stream.sockets?.rtp.resume((batch) => this.#receive(stream, false, batch));
    stream.sockets?.rtcp.resume((batch) => this.#receive(stream, true, batch));
  }

  send(
    stream: Stream,
    fromRtcp: boolean,
    packet: Buffer,
    length: number,
    to: UdpAddress,
    last: boolean,
  ): void {
    const sockets = stream.sockets;
    if (sockets === undefined) return;
    // Between batches nobody has looked at the clock for us.
    if (this.#batch === undefined ? !this.#maySpeak(this.#clock.nowMs()) : this.#isSilent) return;
    const socket = fromRtcp ? sockets.rtcp : sockets.rtp;
    this.packetsRelayed++;
    if (last && this.#batch !== undefined) this.#batch.send(this.#index, length, socket, to);
    else socket.send(packet, length, to);
  }

  commit(stream: Stream): boolean {
    return this.#commit(stream);
  }

  note(stream: Stream): void {
    this.#commit(stream);
  }

  event(event: MediaEvent): void {
    this.#event(event);
  }

  #receive(stream: Stream, onRtcp: boolean, batch: PacketBatch): void {
    const nowMs = this.#clock.nowMs();
    if (nowMs - this.#aliveMs > STOOD_STILL_MS) this.alive(nowMs);
    if (!this.#maySpeak(nowMs)) return;
    try {
      const seen = stream.standstills;
      if ((onRtcp ? seen.rtcp : seen.rtp) !== this.#standstills) {
        seen[onRtcp ? 'rtcp' : 'rtp'] = this.#standstills;
        passBacklog(stream, onRtcp, batch, this.relay, this.#clock);
        return;
      }
      this.#batch = batch;
      for (let i = 0; i < batch.count; i++) {
        this.#index = i;
        this.relay.receive(stream, onRtcp, batch.buffers[i]!, batch.lengths[i]!, batch.sources[i]!, nowMs);
      }
    } catch (error) {
      // A mistake of ours must cost a packet, not the calls of this process.
      if (this.#failures++ % 1000 === 0)
        this.#log.error(
          { stream: stream.id, error: String(error), count: this.#failures },
          'media.packet-failed',
        );
    } finally {
      this.#batch = undefined;
    }
  }
}
