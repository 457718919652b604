import type { Argument } from './redis-connection.ts';

/** A server that writes its file once a second loses at most two; a fail-over what had not reached the replica. */
const KEEP_MS = 10_000;
const MAX_ENTRIES = 20_000;
const MAX_BYTES = 32 * 1024 * 1024;

export interface JournalEntry {
  readonly script: 'commit' | 'append';
  readonly keys: readonly string[];
  readonly args: readonly Argument[];
}

interface Kept extends JournalEntry {
  readonly atMs: number;
  readonly bytes: number;
}

/**
 * The durable writes of the last seconds, in order: what the server acknowledged and may yet lose. They are said again when it comes
 * back; where it lost nothing they change nothing.
 */
export class Journal {
  #kept: Kept[] = [];
  #first = 0;
  #bytes = 0;

  add(entry: JournalEntry, nowMs: number): void {
    let bytes = 0;
    for (const arg of entry.args) bytes += arg.length;
    this.#kept.push({ ...entry, atMs: nowMs, bytes });
    this.#bytes += bytes;
    for (;;) {
      const oldest = this.#kept[this.#first];
      if (oldest === undefined || !this.#isTooMuch(oldest, nowMs)) break;
      this.#bytes -= oldest.bytes;
      this.#first++;
    }
    // Now and then, not one by one: moving the rest costs as much as there is.
    if (this.#first >= 64) {
      this.#kept = this.#kept.slice(this.#first);
      this.#first = 0;
    }
  }

  #isTooMuch({ atMs }: Kept, nowMs: number): boolean {
    return atMs < nowMs - KEEP_MS || this.#kept.length - this.#first > MAX_ENTRIES || this.#bytes > MAX_BYTES;
  }

  /** Everything that is younger than ten seconds before `nowMs`, oldest first. */
  since(nowMs: number): readonly JournalEntry[] {
    return this.#kept.slice(this.#first).filter(({ atMs }) => atMs >= nowMs - KEEP_MS);
  }
}
