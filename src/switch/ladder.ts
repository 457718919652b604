import type { CallId, SwitchId } from '../base/index.ts';
import type { LadderEntry, TransportName } from '../link/index.ts';
import { maskMessage } from '../sip/index.ts';

/** A call that chatters is cut: the first messages tell how it began, and the last what it is about now. */
const ENTRIES_PER_CALL = 100;
/** Calls that have ended stay readable until this many newer ones ended. */
const ENDED_CALLS = 500;

interface Captured extends Omit<LadderEntry, 'text' | 'summary' | 'switch'> {
  readonly masked: string;
}

/** What a call's messages looked like, masked when captured (TR-MEDIA-11), for `twinline call ID`. */
export class Ladders {
  readonly #switch: SwitchId;
  readonly #calls = new Map<CallId, Captured[]>();
  readonly #ended: CallId[] = [];

  constructor(id: SwitchId) {
    this.#switch = id;
  }

  capture(
    { id, over }: { readonly id: CallId; readonly over: boolean },
    message: {
      utcMs: number;
      leg: string;
      direction: 'in' | 'out';
      peer: string;
      transport: TransportName;
      text: string;
    },
  ): void {
    let entries = this.#calls.get(id);
    if (entries === undefined) {
      // What comes again for a call that others have pushed out.
      if (over) return;
      entries = [];
      this.#calls.set(id, entries);
    }
    if (entries.length >= ENTRIES_PER_CALL) entries.splice(ENTRIES_PER_CALL / 2, 1);
    const { utcMs, leg, direction, peer, transport, text } = message;
    entries.push({ utcMs, leg, direction, peer, transport, masked: maskMessage(text) });
  }

  /** Once for each call. What is said of it from now on is still captured. */
  ended(call: CallId): void {
    if (!this.#calls.has(call)) this.#calls.set(call, []);
    this.#ended.push(call);
    if (this.#ended.length > ENDED_CALLS) this.#calls.delete(this.#ended.shift()!);
  }

  of(call: CallId): LadderEntry[] {
    return (this.#calls.get(call) ?? []).map(({ masked, ...rest }) => ({
      ...rest,
      switch: this.#switch,
      summary: summarize(masked),
      text: Buffer.from(masked, 'latin1').toString('utf8'),
    }));
  }
}

/** `INVITE 1002 (SDP)`, `200 OK INVITE (SDP)`: what a reader wants on the arrow. */
function summarize(text: string): string {
  const first = text.slice(0, text.indexOf('\r\n'));
  const withSdp = /\r\nContent-Type:\s*application\/sdp/i.test(text) ? ' (SDP)' : '';
  const response = /^SIP\/2\.0 (\d{3}) (.*)$/.exec(first);
  if (response === null) {
    const [method = '', uri = ''] = first.split(' ');
    return `${method} ${uri}${withSdp}`;
  }
  const method = /\r\nCSeq:\s*\d+\s+(\w+)/i.exec(text)?.[1] ?? '';
  return `${response[1]} ${response[2]} ${method}${withSdp}`;
}
