import type { SrtpSuite } from '../../src/sdp/index.ts';
import { Line, type LineCall } from './line.ts';
import type { Server } from './server.ts';
import type { OpenedStream, Streams } from './streams.ts';

/** A call that is up, with its two streams: `2 × at` is the caller's, the next one the callee's. */
export interface BenchTalk {
  readonly caller: LineCall;
  readonly callee: LineCall;
  /** Where the server receives the caller's and the callee's audio. */
  readonly serverPorts: readonly [number, number];
}

export interface Talks {
  readonly lines: readonly Line[];
  readonly talks: readonly BenchTalk[];
  /** Hangs up what is up still. */
  close(): Promise<void>;
}

const USERS = Array.from({ length: 10 }, (_, at) => String(1001 + at));
/** Callers talk to their neighbours: 1001 to 1002, 1003 to 1004 … */
const PAIRS = USERS.length / 2;

/** The line of that suite in an offer or answer: its tag and key. */
const cryptoOf = (sdp: string, suite: SrtpSuite | undefined) =>
  new RegExp(`^a=crypto:(\\d+) ${suite} inline:([^|\\s]+)`, 'm').exec(sdp);

/** With `offer` it is the answer, under the offer's tag (RFC 4568 §5.1.2). */
function sdpOf({ port, keySalt }: OpenedStream, suite: SrtpSuite | undefined, offer?: string): string {
  const secure = suite !== undefined && keySalt !== undefined;
  return `v=0\r\no=bench ${port} 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio ${port} RTP/${
    secure ? 'SAVP' : 'AVP'
  } 0\r\na=rtpmap:0 PCMU/8000\r\na=ptime:20\r\n${secure ? `a=crypto:${offer === undefined ? 1 : cryptoOf(offer, suite)?.[1]} ${suite} inline:${keySalt}\r\n` : ''}a=sendrecv\r\n`;
}

function mediaOf(
  { remoteSdp: sdp, id, told }: LineCall,
  suite: SrtpSuite | undefined,
): { address: string; port: number; keySalt?: string } {
  const address = /^c=IN IP[46] (\S+)/m.exec(sdp)?.[1];
  const port = Number(/^m=audio (\d+)/m.exec(sdp)?.[1]);
  if (address === undefined || !port)
    throw new Error(`no audio in the server's description "${sdp}" in call ${id}, which came in:\n${told}`);
  const keySalt = cryptoOf(sdp, suite)?.[2];
  if (suite !== undefined && keySalt === undefined)
    throw new Error(`no ${suite} in the server's description`);
  return { address, port, ...(keySalt !== undefined && { keySalt }) };
}

/** Registers the demo users, opens two streams per call and sets the calls up, several at a time, one per pair. */
export async function setUpTalks(
  server: Server,
  streams: Streams,
  count: number,
  suite?: SrtpSuite,
): Promise<Talks> {
  const opened = await streams.open(2 * count, suite);
  /** The stream that the callee of the pair's present call is to answer with. */
  const nextAnswer: number[] = [];
  const lines: Line[] = [];
  for (const [at, user] of USERS.entries()) {
    const line = await Line.open({
      user,
      password: `demo-${user}`,
      domain: server.domain,
      server,
      answer: (offer) => sdpOf(opened[nextAnswer[at >> 1]!]!, suite, offer),
    });
    lines.push(line);
    const status = await line.register();
    if (status !== 200) throw new Error(`registering ${user}: ${status}`);
  }
  const talks: BenchTalk[] = [];
  const onePair = async (pair: number): Promise<void> => {
    const [from, to] = [lines[2 * pair]!, lines[2 * pair + 1]!];
    for (let at = pair; at < count; at += PAIRS) {
      nextAnswer[pair] = 2 * at + 1;
      const caller = await from.call(to.options.user, sdpOf(opened[2 * at]!, suite));
      const callee = to.incoming.at(-1)!;
      const sides = [mediaOf(caller, suite), mediaOf(callee, suite)] as const;
      for (const [which, side] of sides.entries())
        streams.order({ do: 'connect', at: 2 * at + which, ...side });
      talks[at] = { caller, callee, serverPorts: [sides[0].port, sides[1].port] };
    }
  };
  await Promise.all(Array.from({ length: PAIRS }, (_, pair) => onePair(pair)));
  return {
    lines,
    talks,
    close: async () => {
      streams.order({ do: 'close' });
      await Promise.all(
        talks.map(async ({ caller }) => {
          if (!caller.ended && !caller.done) await caller.bye();
        }),
      );
      // What stays registered would be asked in the next run's calls, and its port may be another line's by then.
      await Promise.all(lines.map((line) => line.register(0)));
      for (const line of lines) line.close();
    },
  };
}
