import { type DirectorySnapshot, readAccountConfig } from '../../src/directory/index.ts';
import { audioOf, parseSdp } from '../../src/sdp/index.ts';
import { toBytes } from '../../src/sip/index.ts';
import { Phone, type PhoneMedia, type PhoneMediaFactory, type PhoneOptions } from '../support/phone.ts';
import type { Endpoint, FlowHandlers, PhoneFlow, PhoneSockets } from '../support/phone-transport.ts';
import type { SimStreamEnd } from './network.ts';
import { edgeAddress, type World } from './world.ts';

/** The demo's users, as the installation would compile them. */
export async function demoDirectory(): Promise<DirectorySnapshot> {
  const read = await readAccountConfig(new URL('../../config/demo', import.meta.url).pathname);
  if (!read.ok) throw new Error(read.error.map((problem) => problem.message).join('\n'));
  return { ...(JSON.parse(JSON.stringify(read.value)) as DirectorySnapshot), number: 1 };
}

/** A phone of the simulated world: our own user agent on a datagram network that exists only there. */
export async function simPhone(
  world: World,
  user: string,
  options: Partial<PhoneOptions> = {},
  endToEnd = false,
): Promise<Phone> {
  const host = ++world.phoneNumbers.host;
  const local: Endpoint = { address: `10.0.${host >> 8}.${host & 255}`, port: 5060 };
  return Phone.open({
    user,
    password: `demo-${user}`,
    domain: 'demo.twinline.test',
    servers: [edgeAddress('edge1')],
    clock: world.clock,
    random: world.random,
    keepAliveMs: 0,
    media: simMedia(world, local, endToEnd),
    ...(endToEnd ? { features: ['+g.twinline.e2ee'] } : {}),
    newTransport: ({ transport }, handlers) => new SimSockets(world, transport, local, handlers),
    waitMs: REAL_WAIT_MS,
    ...options,
  });
}

/** Waits end by real time: long enough for any stretch of virtual time. */
const REAL_WAIT_MS = 15_000;

class SimSockets implements PhoneSockets {
  readonly listening: Endpoint;
  readonly #world: World;
  readonly #handlers: FlowHandlers;
  readonly #isStream: boolean;
  readonly #flows = new Map<string, PhoneFlow>();
  #open = false;

  constructor(world: World, transport: string, local: Endpoint, handlers: FlowHandlers) {
    this.#world = world;
    this.#isStream = transport === 'tcp';
    this.#handlers = handlers;
    this.listening = local;
    world.network.plug(local, {
      receive: (bytes, from) => {
        if (this.#open) handlers.message(bytes, this.#datagrams(from));
      },
    });
  }

  async open(): Promise<void> {
    this.#open = true;
  }

  async listen(): Promise<Endpoint> {
    return this.listening;
  }

  async flowTo(server: Endpoint, { fresh = false } = {}): Promise<PhoneFlow> {
    if (!this.#isStream) return this.#datagrams(server);
    const known = this.#flows.get(server.address);
    if (known?.closed === false) {
      if (!fresh) return known;
      known.destroy();
    }
    let end: SimStreamEnd | undefined;
    const flow: PhoneFlow = {
      transport: 'tcp',
      reliable: true,
      local: this.listening,
      remote: server,
      get closed() {
        return end?.open !== true;
      },
      send: (text) => {
        end?.send(toBytes(text));
        return end?.open === true;
      },
      sendRaw: (bytes) => end?.send(bytes),
      ping: () => {},
      close: () => end?.close(),
      destroy: () => {
        if (end?.open !== true) return;
        end.close();
        this.#world.clock.after(0, () => {
          if (this.#open) this.#handlers.closed(flow, 'destroyed');
        });
      },
    };
    end = await this.#world.network.connect(this.listening, server, {
      message: (bytes) => {
        if (this.#open) this.#handlers.message(bytes, flow);
      },
      closed: (reason) => {
        if (this.#open) this.#handlers.closed(flow, reason);
      },
    });
    this.#flows.set(server.address, flow);
    return flow;
  }

  async close(): Promise<void> {
    this.#open = false;
    for (const flow of this.#flows.values()) flow.close();
  }

  #datagrams(server: Endpoint): PhoneFlow {
    const known = this.#flows.get(server.address);
    if (known !== undefined) return known;
    const isOpen = () => this.#open;
    const send = (bytes: Uint8Array): boolean => {
      if (isOpen()) this.#world.network.toEdge(bytes, this.listening, server);
      return isOpen();
    };
    const flow: PhoneFlow = {
      transport: 'udp',
      reliable: false,
      local: this.listening,
      remote: server,
      get closed() {
        return !isOpen();
      },
      send: (text) => send(toBytes(text)),
      sendRaw: send,
      ping: () => {},
      close: () => {},
      destroy: () => {},
    };
    this.#flows.set(server.address, flow);
    return flow;
  }
}

/** What a simulated phone's media knows: where it listens and where it was told to send. */
export interface SimPhoneMedia extends PhoneMedia {
  readonly local: Endpoint;
  readonly remote: Endpoint | undefined;
  /** What the last agreed descriptions let it do. */
  readonly sends: boolean;
  readonly receives: boolean;
}

type Way = 'sendrecv' | 'sendonly' | 'recvonly' | 'inactive';

function simMedia(world: World, at: Endpoint, endToEnd: boolean): PhoneMediaFactory {
  return async () => {
    const local: Endpoint = { address: at.address, port: world.phoneNumbers.port };
    world.phoneNumbers.port += 2;
    let version = 0;
    let holding = false;
    let remote: Endpoint | undefined;
    let theirs: Way = 'sendrecv';
    let ours: Way = 'sendrecv';
    const describe = (direction: Way): string => {
      ours = direction;
      return [
        'v=0',
        `o=- ${local.port} ${++version} IN IP4 ${local.address}`,
        's=-',
        `c=IN IP4 ${local.address}`,
        't=0 0',
        `m=audio ${local.port} RTP/AVP 0 101`,
        'a=rtpmap:0 PCMU/8000',
        'a=rtpmap:101 telephone-event/8000',
        `a=${direction}`,
        ...(endToEnd ? ['a=sframe', `a=sframe-key:${local.address}`] : []),
        '',
      ].join('\r\n');
    };
    const take = (sdp: string): void => {
      const parsed = parseSdp(sdp);
      const audio = parsed.ok ? audioOf(parsed.value) : undefined;
      if (audio === undefined || audio.port === 0) throw new Error(`no audio in ${sdp}`);
      const isMarked = audio.sframe?.some(({ name }) => name === 'sframe-key') === true;
      if (isMarked !== endToEnd) throw new Error(`${endToEnd ? 'no' : 'a'} mark of encryption in ${sdp}`);
      remote = { address: audio.address ?? '', port: audio.port };
      theirs = audio.direction;
    };
    const answerTo = (direction: Way): Way => {
      const wanted = holding ? 'sendonly' : 'sendrecv';
      const sends = wanted.startsWith('send') && (direction === 'sendrecv' || direction === 'recvonly');
      const receives = wanted === 'sendrecv' && (direction === 'sendrecv' || direction === 'sendonly');
      return sends ? (receives ? 'sendrecv' : 'sendonly') : receives ? 'recvonly' : 'inactive';
    };
    const media: SimPhoneMedia = {
      local,
      get remote() {
        return remote;
      },
      get sends() {
        return ours.startsWith('send') && theirs !== 'sendonly' && theirs !== 'inactive';
      },
      get receives() {
        return (ours === 'sendrecv' || ours === 'recvonly') && theirs.startsWith('send');
      },
      offer: () => describe(holding ? 'sendonly' : 'sendrecv'),
      answer: (offerSdp) => {
        take(offerSdp);
        return describe(answerTo(theirs));
      },
      apply: take,
      hold: (on) => {
        holding = on;
      },
      close: () => {},
      stats: () => ({}),
    };
    return media;
  };
}
