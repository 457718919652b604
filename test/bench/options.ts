import { parseArgs } from 'node:util';
import { isSrtpSuite, type SrtpSuite } from '../../src/sdp/index.ts';

export const USAGE = `scripts/bench register|calls|switch|relay|failover|overload|idle|transcode|mix [options]

Measures CPU, memory, loss and gaps. Starts an installation of its own, unless --target names a server that runs.

  register   REGISTER, 401, REGISTER with digest, 200: CPU per pair         --rate 500 --seconds 10
  calls      INVITE to BYE through the server, media set up, by sipp        --rate 100 --seconds 20 --calls 500 (held, for memory)
  switch     one call switch with its state, alone in a process, as fast as it goes: CPU per call and REGISTER without sockets;
             the first run is of a process that has just begun, and not in the median   --calls 1000 --runs 5
  relay      50 packets a second each way of every call                     --calls 200 --seconds 10 --srtp SUITE
             --vs rtpengine: our media processes and Debian's rtpengine in user space alone, in turns, the same packets;
             plain RTP to plain, to AES_CM_128 and to AES-256-GCM, or to the --srtp suite alone   --calls 200 --seconds 5 --runs 3
  failover   kills in the middle of calls and measures the audio            --calls 50 --runs 5 --what zone|zone-frozen|switch|media|edge|redis|everything
  overload   three times the rate that is given as sustainable, by sipp, while calls with audio are held; then the rate itself
                                                                            --rate 60 --seconds 60 --calls 20 (held)
  idle       nobody calls: CPU and memory                                   --seconds 20
  transcode  decode, resample, encode, in one process: CPU per call-second  --seconds 10 --runs 3
  mix        a conference in one process, the loudest three heard           --calls 50 (parties) --seconds 5 --runs 3

  --runs N                how often to measure; medians are given (default 1, failover and switch 5, transcode and mix 3)
  --no-checkpoints        running calls are not written to the state: what survival costs (calls)
  --state redis           our own installation keeps its state in a Redis of its own (failover, calls, register, idle)
  --media rtpengine       our own installation has Debian's rtpengine relay, which it starts (relay)
  --target HOST:PORT      another server, UDP; it has the users 1001 to 1010 with the passwords demo-1001 … and passes calls between them
  --pids 1,2,3            its processes, whose CPU is read
  --json                  one object with the figures on the last line, nothing else
`;

export const BENCHES = [
  'register',
  'calls',
  'switch',
  'relay',
  'failover',
  'overload',
  'idle',
  'transcode',
  'mix',
] as const;
export type BenchName = (typeof BENCHES)[number];
/** `redis`: the state engine is killed and started again; `everything`: the rolling restart of an upgrade. */
export const VICTIMS = ['zone', 'zone-frozen', 'switch', 'media', 'edge', 'redis', 'everything'] as const;
export type Victim = (typeof VICTIMS)[number];

export interface BenchOptions {
  readonly bench: BenchName;
  readonly calls?: number;
  readonly runs?: number;
  readonly rate?: number;
  readonly seconds?: number;
  readonly srtp?: SrtpSuite;
  readonly what: Victim;
  readonly state: 'lmdb' | 'redis';
  readonly checkpoints: boolean;
  readonly target?: { readonly address: string; readonly port: number };
  readonly pids: readonly number[];
  readonly json: boolean;
  readonly vs?: 'rtpengine';
  /** Whose relay our own installation has. */
  readonly media: 'own' | 'rtpengine';
}

/** Throws an Error with a sentence for the user. Undefined: help was asked for. */
export function parseOptions(argv: readonly string[]): BenchOptions | undefined {
  const { values, positionals } = parseArgs({
    args: [...argv],
    allowPositionals: true,
    options: {
      calls: { type: 'string' },
      runs: { type: 'string' },
      rate: { type: 'string' },
      seconds: { type: 'string' },
      srtp: { type: 'string' },
      what: { type: 'string', default: 'zone' },
      state: { type: 'string', default: 'lmdb' },
      'no-checkpoints': { type: 'boolean', default: false },
      target: { type: 'string' },
      pids: { type: 'string' },
      vs: { type: 'string' },
      media: { type: 'string', default: 'own' },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return undefined;
  const [name, ...more] = positionals;
  const bench = BENCHES.find((one) => one === name);
  if (bench === undefined || more.length > 0)
    throw new Error(`give one of ${BENCHES.join(', ')}, not "${positionals.join(' ')}"`);
  const what = VICTIMS.find((one) => one === values.what);
  if (what === undefined) throw new Error(`--what takes ${VICTIMS.join(', ')}, not "${values.what}"`);
  const { state } = values;
  if (state !== 'lmdb' && state !== 'redis') throw new Error(`--state takes lmdb or redis, not "${state}"`);
  if (what === 'redis' && state !== 'redis') throw new Error('--what redis needs --state redis');
  if (values.srtp !== undefined && !isSrtpSuite(values.srtp))
    throw new Error(`--srtp takes a suite such as AEAD_AES_256_GCM, not "${values.srtp}"`);
  if (values.target !== undefined && (bench === 'failover' || bench === 'idle') && values.pids === undefined)
    throw new Error(`${bench} of another server needs --pids`);
  if (values.target !== undefined && bench === 'failover')
    throw new Error('failover kills processes of an installation of its own: it takes no --target');
  if (values.vs !== undefined && (values.vs !== 'rtpengine' || bench !== 'relay' || values.target))
    throw new Error('--vs rtpengine belongs to relay, without --target');
  const { media } = values;
  if (media !== 'own' && (media !== 'rtpengine' || bench !== 'relay' || values.target || values.vs))
    throw new Error('--media rtpengine belongs to relay, without --target and --vs');
  return {
    bench,
    ...number('calls', values.calls, 1, 10_000),
    ...number('runs', values.runs, 1, 1_000),
    ...number('rate', values.rate, 1, 20_000),
    ...number('seconds', values.seconds, 1, 3_600),
    ...(values.srtp === undefined ? {} : { srtp: values.srtp as SrtpSuite }),
    what,
    state,
    media,
    checkpoints: !values['no-checkpoints'],
    ...target(values.target),
    pids: (values.pids ?? '')
      .split(',')
      .filter(Boolean)
      .map(wholeNumber('pids', 1, 2 ** 22)),
    json: values.json,
    ...(values.vs === 'rtpengine' && { vs: values.vs }),
  };
}

const wholeNumber = (name: string, least: number, most: number) => (text: string) => {
  const value = Number(text);
  if (!Number.isInteger(value) || value < least || value > most)
    throw new Error(`--${name} takes a whole number from ${least} to ${most}, not "${text}"`);
  return value;
};

const number = <N extends string>(name: N, text: string | undefined, least: number, most: number) =>
  (text === undefined ? {} : { [name]: wholeNumber(name, least, most)(text) }) as { [K in N]?: number };

function target(text: string | undefined): Pick<BenchOptions, 'target'> {
  if (text === undefined) return {};
  const parts = /^\[?([0-9a-fA-F.:]+?)\]?:(\d{1,5})$/.exec(text);
  if (parts === null) throw new Error(`--target takes ADDRESS:PORT such as 127.0.0.1:5060, not "${text}"`);
  return { target: { address: parts[1]!, port: Number(parts[2]) } };
}
