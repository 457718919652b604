import type { Clock, Logger, StreamId } from '../base/index.ts';
import type { StreamGraph } from './graph.ts';
import type { HandedOver } from './protocol.ts';
import type { Stream } from './stream.ts';

/** How the twin is told; see `MirrorOwner`. */
export interface Giver {
  /** The twin's process; 0 without one. */
  readonly twinPid: number;
  /** It is on another machine: nothing can be handed over while both live. */
  readonly distant: boolean;
  /** The twin answers, would take streams, and we stand by for it: its death would be heard and its streams come back. */
  ready(): Promise<boolean>;
  /**
   * Says the streams' exact states and that they are the twin's from now on. Undefined: it could not be said and they are still
   * ours. Else they are ours no more, whatever comes; resolves to those that the twin has taken, or `lost` when it went away.
   */
  give(streams: readonly Stream[]): Promise<readonly StreamId[] | 'lost'> | undefined;
  put(stream: Stream): Promise<void>;
}

/** Streams in one go: while they change hands their packets wait, so few; a whole call (what hears each other) always goes together. */
const STREAMS_AT_ONCE = 16;
/** What a message of the mirror can name. Nothing that people talk in is so large. */
const MOST_TOGETHER = 400;
const SLOW_AFTER_MS = 1000;

/**
 * Gives streams to the twin without a death. It holds their sockets and knows them already, so each changes hands by one message:
 * we stop reading, say where exactly we are, and from the moment the kernel has taken the last word the streams are the twin's. If we die
 * then it still reads that word; if it dies before we know that it has taken them, they come back to us as a dead twin's do.
 * So there is one owner at every moment, and packets wait in the sockets meanwhile.
 */
export class HandOver {
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #graph: StreamGraph;
  readonly #giver: Giver;
  readonly #alsoHears: (stream: Stream) => Iterable<Stream>;
  readonly #start: (stream: Stream) => void;
  readonly #release: (stream: Stream) => void;
  /** Given, and not yet known to be taken: sockets open, unread. */
  readonly #given = new Map<StreamId, { readonly stream: Stream; readonly to: number }>();
  #running: Promise<unknown> = Promise.resolve();

  constructor(options: {
    clock: Clock;
    log: Logger;
    graph: StreamGraph;
    giver: Giver;
    /** Who hears this stream, or is heard by it, in another way than as source. */
    alsoHears?: (stream: Stream) => Iterable<Stream>;
    /** The stream's sockets are read (again). */
    start: (stream: Stream) => void;
    /** It is another's: closes our descriptors and keys. */
    release: (stream: Stream) => void;
  }) {
    this.#clock = options.clock;
    this.#log = options.log;
    this.#graph = options.graph;
    this.#giver = options.giver;
    this.#alsoHears = options.alsoHears ?? (() => []);
    this.#start = options.start;
    this.#release = options.release;
  }

  has(id: StreamId): boolean {
    return this.#given.has(id);
  }

  /** Hands these streams over, or all; one hand-over at a time. */
  run(ids?: readonly StreamId[]): Promise<HandedOver> {
    const result = this.#running.then(() => this.#run(ids));
    this.#running = result.catch(() => undefined);
    return result;
  }

  /** The twin is known to have them: by its answer, or because it mirrors them to us. */
  taken(id: StreamId): void {
    const given = this.#given.get(id);
    if (given === undefined) return;
    this.#given.delete(id);
    this.#release(given.stream);
  }

  /** That process is dead. What it was given and is not known to have taken is ours again; `known` is what it mirrored to us, and fresher. */
  takeBack(pid: number, known: readonly Stream[]): Stream[] {
    for (const { id } of known) this.taken(id);
    const streams: Stream[] = [];
    for (const [id, { stream, to }] of this.#given) {
      if (to !== pid) continue;
      this.#given.delete(id);
      streams.push(stream);
    }
    return streams;
  }

  async #run(ids: readonly StreamId[] | undefined): Promise<HandedOver> {
    const startMs = this.#clock.nowMs();
    const wanted = ids?.flatMap((id) => this.#graph.get(id) ?? []) ?? [...this.#graph];
    let handed = 0;
    let reason: string | undefined;
    let unready: string | undefined;
    if (wanted.length > 0 && !(await this.#giver.ready()))
      reason = this.#giver.distant ? 'other_machine' : 'twin_away';
    const seen = new Set<Stream>();
    let batch: Stream[] = [];
    const give = async () => {
      // Some may have ended or changed their company while the batch before was under way.
      const companies = batch.map((each) => this.#company(each));
      const whole = companies.filter((company) => !company.some((each) => each.dtls?.handshaking));
      if (whole.length < companies.length) unready = 'handshaking';
      const streams = [...new Set(whole.flat())];
      batch = [];
      const result = streams.length === 0 ? 0 : await this.#give(streams);
      if (typeof result === 'string') reason = result;
      else handed += result;
    };
    for (const stream of wanted) {
      if (reason !== undefined) break;
      if (seen.has(stream)) continue;
      const company = this.#company(stream);
      for (const each of company) seen.add(each);
      if (company.length > MOST_TOGETHER) {
        this.#log.error({ stream: stream.id, streams: company.length }, 'media.hand-over-too-large');
        continue;
      }
      if (batch.length > 0 && batch.length + company.length > STREAMS_AT_ONCE) await give();
      batch.push(...company);
    }
    if (reason === undefined && batch.length > 0) await give();
    reason ??= unready;
    const remaining = this.#graph.size;
    if (wanted.length > 0) {
      const tookMs = Math.round((this.#clock.nowMs() - startMs) * 100) / 100;
      this.#log.info({ handed, remaining, tookMs, ...(reason && { reason }) }, 'media.handed-over');
    }
    return { handed, remaining, ...(reason === undefined ? {} : { reason }) };
  }

  /** All that hear each other, through whomever. Streams that are gone have no company. */
  #company(stream: Stream): Stream[] {
    if (this.#graph.get(stream.id) !== stream) return [];
    const found = new Set([stream]);
    for (const each of found) {
      if (each.source !== undefined) found.add(each.source);
      for (const sink of each.sinks) found.add(sink);
      for (const other of this.#alsoHears(each)) found.add(other);
    }
    return [...found];
  }

  async #give(streams: readonly Stream[]): Promise<number | string> {
    for (const { sockets } of streams) {
      sockets?.rtp.pause();
      sockets?.rtcp.pause();
    }
    const to = this.#giver.twinPid;
    const answer = this.#giver.give(streams);
    if (answer === undefined) {
      for (const stream of streams) this.#start(stream);
      return 'twin_busy';
    }
    for (const stream of streams) {
      this.#graph.remove(stream);
      this.#given.set(stream.id, { stream, to });
    }
    const slow = this.#clock.after(SLOW_AFTER_MS, () =>
      this.#log.warn({ streams: streams.length }, 'media.hand-over-slow'),
    );
    const taken = await answer;
    slow.cancel();
    if (taken === 'lost') return 'twin_away';
    const theirs = new Set(taken);
    let refused = 0;
    for (const stream of streams) {
      if (theirs.has(stream.id)) this.taken(stream.id);
      else if (this.#given.delete(stream.id)) {
        refused++;
        this.#graph.connect(stream);
        this.#start(stream);
        void this.#giver.put(stream);
      }
    }
    return refused > 0 ? 'twin_refused' : streams.length;
  }
}
