import type { StreamId } from '../base/index.ts';
import { fillPayloadTypes } from './payload-types.ts';
import type { Stream } from './stream.ts';

/** Told of every change, after it. */
export interface GraphWatcher {
  connected(stream: Stream): void;
  removed(stream: Stream): void;
}

/** All streams of this process and who sends out whose audio. A sink may be told of before its source. */
export class StreamGraph {
  watcher: GraphWatcher | undefined;
  readonly #streams = new Map<StreamId, Stream>();
  /** By the id of the wanted source, whether that is here or not. */
  readonly #wanting = new Map<StreamId, Set<Stream>>();
  readonly #wanted = new Map<StreamId, StreamId>();

  get size(): number {
    return this.#streams.size;
  }

  get(id: StreamId): Stream | undefined {
    return this.#streams.get(id);
  }

  [Symbol.iterator](): IterableIterator<Stream> {
    return this.#streams.values();
  }

  /** The stream is new, or its source or codecs changed. */
  connect(stream: Stream): void {
    this.#streams.set(stream.id, stream);
    this.#want(stream, stream.spec.source);
    this.#tie(stream);
    for (const sink of this.#wanting.get(stream.id) ?? []) this.#tie(sink);
    this.watcher?.connected(stream);
  }

  remove(stream: Stream): void {
    if (this.#streams.get(stream.id) !== stream) return;
    this.#streams.delete(stream.id);
    this.#want(stream, undefined);
    this.#tie(stream);
    for (const sink of [...stream.sinks]) this.#tie(sink);
    this.watcher?.removed(stream);
  }

  #want(stream: Stream, source: StreamId | undefined): void {
    const before = this.#wanted.get(stream.id);
    if (before === source) return;
    if (before !== undefined) {
      const sinks = this.#wanting.get(before);
      sinks?.delete(stream);
      if (sinks?.size === 0) this.#wanting.delete(before);
      this.#wanted.delete(stream.id);
    }
    if (source === undefined) return;
    this.#wanted.set(stream.id, source);
    const sinks = this.#wanting.get(source);
    if (sinks === undefined) this.#wanting.set(source, new Set([stream]));
    else sinks.add(stream);
  }

  #tie(sink: Stream): void {
    const wanted = this.#wanted.get(sink.id);
    const source = wanted === undefined ? undefined : this.#streams.get(wanted);
    if (sink.source !== source) {
      if (sink.source !== undefined) sink.source.sinks = sink.source.sinks.filter((other) => other !== sink);
      sink.source = source;
      if (source !== undefined) source.sinks = [...source.sinks, sink];
    }
    fillPayloadTypes(source?.spec.codecs ?? [], sink.spec.codecs, sink.payloadTypes);
  }
}
