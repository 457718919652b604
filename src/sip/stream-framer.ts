import { fromBytes } from './bytes.ts';
import { parseNumber } from './chars.ts';
import { isFolded, lineEndFrom, readFolded, readHeader } from './head-lines.ts';
import type { SipHeader } from './message.ts';
import { DEFAULT_LIMITS, type ParseLimits } from './parse.ts';

export type StreamEvent =
  /** One whole message: start line, headers and as much body as its Content-Length says. */
  | { readonly type: 'message'; readonly bytes: Uint8Array }
  /** The client's keep-alive: two CRLFs between messages. Answer with one (RFC 5626 §3.5.1, §4.4.1). */
  | { readonly type: 'ping' }
  /** The server's answer to it: one CRLF. Only with `keepAlives: 'pong'`. */
  | { readonly type: 'pong' }
  /** The stream cannot be read any further: close the connection. Nothing comes after it. */
  | { readonly type: 'error'; readonly status: number; readonly reason: string };

export interface FramerOptions extends ParseLimits {
  /** Whether the peer is a client (it sends double CRLFs, the default) or a server (it answers with one). */
  readonly keepAlives: 'ping' | 'pong';
}

const NOTHING = new Uint8Array(0);
const BLANK_LINE = Buffer.from('\r\n\r\n');

/**
 * Cuts a TCP or TLS stream into messages by Content-Length (RFC 3261 §18.3). Work and memory are linear in what comes, however it is
 * chopped; a connection that sends nothing holds no buffer. WebSocket frames need none of this (RFC 7118 §5).
 */
export class StreamFramer {
  readonly #limits: FramerOptions;
  /** What has come of a message that is not whole: `#held[#start..#end]`. */
  #held: Uint8Array = NOTHING;
  #start = 0;
  #end = 0;
  /** Up to where the held bytes have been searched for the empty line. */
  #searched = 0;
  /** The length of the whole message once its headers are there; else -1. */
  #wanted = -1;
  /** A CRLF that may be the first half of a ping. */
  #halfPing = false;
  #failed = false;

  constructor(options: Partial<FramerOptions> = {}) {
    this.#limits = { ...DEFAULT_LIMITS, keepAlives: 'ping', ...options };
  }

  /** Bytes of a message that is not whole yet: for the limit on the time that a header may take. */
  get heldBytes(): number {
    return this.#end - this.#start;
  }

  /** Takes what came and gives what is whole by it. The bytes of a message stay valid as long as `chunk` itself does. */
  push(chunk: Uint8Array): StreamEvent[] {
    if (this.#failed) return [];
    const events: StreamEvent[] = [];
    if (this.heldBytes === 0) {
      this.#held = chunk;
      this.#start = 0;
      this.#end = chunk.length;
      this.#searched = 0;
      this.#cut(events, false);
      // The rest is copied: a chunk may be a view of a large shared pool.
      const rest = this.#held.subarray(this.#start, this.#end);
      this.#hold(rest.length === 0 ? NOTHING : Uint8Array.from(rest));
    } else {
      this.#append(chunk);
      this.#cut(events, true);
      if (this.heldBytes === 0) this.#hold(NOTHING);
    }
    return events;
  }

  #hold(bytes: Uint8Array): void {
    this.#searched = Math.max(0, this.#searched - this.#start);
    this.#held = bytes;
    this.#start = 0;
    this.#end = bytes.length;
  }

  #append(chunk: Uint8Array): void {
    const needed = this.heldBytes + chunk.length;
    if (this.#end + chunk.length > this.#held.length) {
      // Doubling, or moving what fills at most half of the space: each byte is copied a bounded number of times.
      const target =
        needed * 2 <= this.#held.length ? this.#held : new Uint8Array(Math.max(1024, needed * 2));
      target.set(this.#held.subarray(this.#start, this.#end));
      this.#searched -= this.#start;
      this.#end -= this.#start;
      this.#start = 0;
      this.#held = target;
    }
    this.#held.set(chunk, this.#end);
    this.#end += chunk.length;
  }

  #cut(events: StreamEvent[], isOurs: boolean): void {
    while (this.#start < this.#end && !this.#failed) {
      if (this.#wanted === -1) {
        if (!this.#skipKeepAlives(events)) return;
        const error = this.#readHead();
        if (error !== undefined) {
          this.#failed = true;
          this.#start = this.#end;
          events.push(error);
          return;
        }
        if (this.#wanted === -1) return;
      }
      if (this.#end - this.#start < this.#wanted) return;
      const bytes = this.#held.subarray(this.#start, this.#start + this.#wanted);
      // Our own buffer is written over by the next chunk.
      events.push({ type: 'message', bytes: isOurs ? bytes.slice() : bytes });
      this.#start += this.#wanted;
      this.#searched = this.#start;
      this.#wanted = -1;
      this.#halfPing = false;
    }
  }

  /** True when a message begins; false when more must come first. */
  #skipKeepAlives(events: StreamEvent[]): boolean {
    while (this.#held[this.#start] === 0x0d && this.#start < this.#end) {
      if (this.#start + 1 === this.#end) return false;
      if (this.#held[this.#start + 1] !== 0x0a) return true;
      this.#start += 2;
      if (this.#limits.keepAlives === 'pong') events.push({ type: 'pong' });
      else if (this.#halfPing) events.push({ type: 'ping' });
      this.#halfPing = !this.#halfPing;
    }
    return this.#start < this.#end;
  }

  #readHead(): StreamEvent | undefined {
    const { maxHeaderBytes, maxBodyBytes } = this.#limits;
    const data = Buffer.from(this.#held.buffer, this.#held.byteOffset, this.#end);
    const from = Math.max(this.#start, this.#searched - 3);
    const blank = data.indexOf(BLANK_LINE, from);
    this.#searched = this.#end;
    if ((blank === -1 ? this.#end : blank) - this.#start > maxHeaderBytes) {
      return { type: 'error', status: 513, reason: `the headers are larger than ${maxHeaderBytes} bytes` };
    }
    if (blank === -1) return undefined;
    const length = contentLength(fromBytes(data, this.#start, blank), this.#limits.maxHeaders);
    if (typeof length === 'string') return { type: 'error', status: 400, reason: length };
    if (length > maxBodyBytes) {
      return { type: 'error', status: 413, reason: `the body is larger than ${maxBodyBytes} bytes` };
    }
    this.#wanted = blank + 4 - this.#start + length;
    return undefined;
  }
}

/** The body's length, or why the stream cannot be followed. No Content-Length at all is taken as no body. */
function contentLength(head: string, maxHeaders: number): number | string {
  let length: number | undefined;
  let lines = 0;
  for (let pos = lineEndFrom(head, 0) + 2; pos < head.length; ) {
    if (++lines > maxHeaders) return `more than ${maxHeaders} headers`;
    let end = lineEndFrom(head, pos);
    let entry: SipHeader | undefined;
    const first = head.charCodeAt(pos) | 0x20;
    if (isFolded(head, end)) ({ entry, end } = readFolded(head, pos, end));
    else if (first === 0x63 || first === 0x6c) entry = readHeader(head, pos, end);
    pos = end + 2;
    if (entry?.name !== 'Content-Length') continue;
    if (length !== undefined) return 'more than one Content-Length';
    length = parseNumber(entry.value, Number.MAX_SAFE_INTEGER);
    if (length === undefined) return 'Content-Length is not a number';
  }
  return length ?? 0;
}
