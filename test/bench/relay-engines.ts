import { systemRandom } from '../../src/native/index.ts';
import type { SrtpSuite } from '../../src/sdp/index.ts';
import { newKeySalt } from '../../src/sdp/index.ts';
import { MediaPair } from '../support/media-pair.ts';
import { Rtpengine } from '../support/rtpengine.ts';
import { spec } from '../support/stream-spec.ts';
import type { OpenedStream } from './streams.ts';

/** Where a stream of the bench is to send to, and the key under which it is sent to. */
export interface Side {
  readonly address: string;
  readonly port: number;
  readonly keySalt?: string;
}

/** What relays: its processes alone, without a server around them. */
export interface RelayEngine {
  readonly name: 'twinline' | 'rtpengine';
  readonly pids: readonly number[];
  /** A call between a plain stream and one with that suite, or a plain one. */
  call(n: number, left: OpenedStream, right: OpenedStream, suite?: SrtpSuite): Promise<readonly [Side, Side]>;
  /** Ends those calls. */
  clear(calls: number): Promise<void>;
  stop(): Promise<void>;
}

const FIRST_PORT = { twinline: 22_000, rtpengine: 26_000 };
/** Four ports each, RTP and RTCP of both ends. */
export const MOST_CALLS = 450;
const BUNDLE = 'bundle0001';

/** Two processes as in an installation: the one that relays, and its twin, which mirrors it. Both count. */
export async function ourMedia(): Promise<RelayEngine> {
  const pair = await MediaPair.start(FIRST_PORT.twinline, 2_000);
  const ids = (n: number) => [`left${n}`, `right${n}`] as const;
  return {
    name: 'twinline',
    pids: [pair.pid('a'), pair.pid('b')],
    call: async (n, left, right, suite) => {
      const [a, b] = ids(n);
      const sendKey = suite && { suite, keySalt: newKeySalt(suite, systemRandom) };
      const receiveKey = suite && right.keySalt !== undefined ? { suite, keySalt: right.keySalt } : undefined;
      const keys = sendKey && receiveKey ? { sendKey, receiveKey } : {};
      const opened = [
        await pair.put('a', spec(a, { port: left.port, source: b })),
        await pair.put('a', spec(b, { port: right.port, source: a, ...keys })),
      ] as const;
      return [
        { address: opened[0].address, port: opened[0].port },
        {
          address: opened[1].address,
          port: opened[1].port,
          ...(sendKey && { keySalt: sendKey.keySalt }),
        },
      ];
    },
    clear: async (calls) => {
      await pair.close('a', BUNDLE, Array.from({ length: calls }, (_, n) => ids(n)).flat());
    },
    stop: async () => pair.end(),
  };
}

/** In user space: `--table=-1`. As many threads as this machine has cores, which is its own default. */
export async function debiansRtpengine(threads: number): Promise<RelayEngine> {
  const first = FIRST_PORT.rtpengine;
  const engine = await Rtpengine.start({ threads, mediaPorts: [first, first + 4 * MOST_CALLS + 99] });
  const tags = (n: number) => ({ 'call-id': `bench${n}`, 'from-tag': 'left' });
  const manners = {
    ICE: 'remove',
    DTLS: 'off',
    'rtcp-mux': ['demux'],
    flags: ['trust-address', 'pad-crypto'],
  };
  return {
    name: 'rtpengine',
    pids: [engine.pid],
    call: async (n, left, right, suite) => {
      const offered = await engine.ask({
        ...{ command: 'offer', ...tags(n), ...manners, sdp: sdpOf(left.port) },
        'transport-protocol': suite === undefined ? 'RTP/AVP' : 'RTP/SAVP',
        ...(suite !== undefined && { SDES: ['pad', `only-${suite}`] }),
      });
      const toRight = sideIn(offered.sdp!, suite);
      const answered = await engine.ask({
        ...{ command: 'answer', ...tags(n), 'to-tag': 'right', ...manners },
        sdp: sdpOf(right.port, suite && `${toRight.tag} ${suite} inline:${right.keySalt}`),
      });
      return [sideIn(answered.sdp!), toRight];
    },
    clear: async (calls) => {
      for (let n = 0; n < calls; n++) await engine.ask({ command: 'delete', ...tags(n), 'delete-delay': 0 });
    },
    stop: () => engine.stop(),
  };
}

const sdpOf = (port: number, crypto?: string): string =>
  `v=0\r\no=bench ${port} 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio ${port} RTP/${
    crypto === undefined ? 'AVP' : 'SAVP'
  } 0\r\na=rtpmap:0 PCMU/8000\r\n${crypto === undefined ? '' : `a=crypto:${crypto}\r\n`}a=sendrecv\r\n`;

function sideIn(sdp: string, suite?: SrtpSuite): Side & { readonly tag?: string } {
  const address = /^c=IN IP4 (\S+)/m.exec(sdp)?.[1];
  const port = Number(/^m=audio (\d+)/m.exec(sdp)?.[1]);
  if (address === undefined || !port) throw new Error(`no audio in rtpengine's description:\n${sdp}`);
  if (suite === undefined) return { address, port };
  const [, tag, keySalt] = new RegExp(`^a=crypto:(\\d+) ${suite} inline:([^|\\s]+)`, 'm').exec(sdp) ?? [];
  if (tag === undefined || keySalt === undefined) throw new Error(`rtpengine offers no ${suite}`);
  return { address, port, tag, keySalt };
}
