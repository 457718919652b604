import type dgram from 'node:dgram';
import { afterAll, afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { DtlsTerms, IceCredentials, StreamOpened } from '../../src/media/index.ts';
import { makeIdentity } from '../support/dtls-peer.ts';
import { openSocket } from '../support/impairer.ts';
import { MediaPair } from '../support/media-pair.ts';
import { fingerprintOf, iceOf, type OurSide, RtcPeer } from '../support/rtc-peer.ts';
import { spec } from '../support/stream-spec.ts';

/** `TWINLINE_KILLS=200` for a long row. */
const KILLS = Number(process.env['TWINLINE_KILLS'] ?? 3);
const LONG_MS = 60_000 + KILLS * 10_000;

const identities = [makeIdentity(), makeIdentity()];
afterAll(() => {
  for (const identity of identities) identity.remove();
});

let pair: MediaPair;
const peers: RtcPeer[] = [];
beforeEach(async () => {
  pair = await MediaPair.start(
    27_200,
    100,
    identities.map(({ certificatePem, keyPem }) => ({ certificatePem, keyPem })),
  );
});
afterEach(() => {
  for (const peer of peers.splice(0)) peer.close();
  pair.end();
});

let made = 0;
const newCredentials = (): IceCredentials => ({
  localUfrag: `ours${made}`,
  localPassword: `a+password+of+ours${`${made++}`.padStart(10, '0')}`,
});

/** One stream of a pair of media processes and the libwebrtc at its other end. */
class Leg {
  readonly peer: RtcPeer;
  readonly name: string;
  readonly #source: string;
  ice = newCredentials();
  epoch = 1;
  opened: StreamOpened | undefined;

  constructor(name: string, source: string, toneHz: number) {
    this.name = name;
    this.#source = source;
    this.peer = new RtcPeer(toneHz);
    peers.push(this.peer);
  }

  async put(by: string, dtls: DtlsTerms, theirs: object = {}): Promise<StreamOpened> {
    const wishes = { source: this.#source, opus: 111, rtcpMux: true, dtls, ice: { ...this.ice, ...theirs } };
    this.opened = await pair.put(by, spec(this.name, { ...wishes, epoch: this.epoch }));
    return this.opened;
  }

  ours(setup: OurSide['setup'], place: { address: string; port: number } = this.opened!): OurSide {
    const { address, port } = place;
    return { address, port, ice: this.ice, fingerprint: this.opened!.fingerprint!, setup };
  }

  /** It offers, we answer with this role. */
  async connect(by: string, role: DtlsTerms['role']): Promise<void> {
    const offer = await this.peer.offer();
    await this.put(by, { role, fingerprints: [fingerprintOf(offer)] }, iceOf(offer));
    await this.peer.takeAnswer(this.ours(role));
  }
}

const transports = (stream: string) =>
  pair.events.filter((event) => event.type === 'transport' && event.stream === stream);

async function dies(owner: string): Promise<string> {
  const twin = owner === 'a' ? 'b' : 'a';
  const before = pair.events.length;
  pair.kill(owner);
  await pair.until(() => pair.events.slice(before).some(({ by, type }) => by === twin && type === 'adopted'));
  return twin;
}

describe('libwebrtc at both ends', () => {
  test(
    `hears the other's tone, in both DTLS roles, through ${KILLS} deaths of the owner without another handshake`,
    async () => {
      const alice = new Leg('alice', 'bob', 450);
      const bob = new Leg('bob', 'alice', 700);
      await Promise.all([alice.connect('a', 'passive'), bob.connect('a', 'active')]);
      const bothHear = () => Promise.all([alice.peer.hears(700), bob.peer.hears(450)]);
      await bothHear();
      const connected = (stream: string) => ({
        by: 'a',
        type: 'transport',
        stream,
        state: 'connected',
        // This libwebrtc offers no AEAD suite.
        suite: 'AES_CM_128_HMAC_SHA1_80',
      });
      expect(transports('alice')).toEqual([connected('alice')]);
      expect(transports('bob')).toEqual([connected('bob')]);

      let owner = 'a';
      for (let kill = 0; kill < KILLS; kill++) {
        const dead = owner;
        owner = await dies(owner);
        await bothHear();
        await pair.startAgain(dead);
      }
      for (const { peer, name } of [alice, bob]) {
        expect(peer.states.filter((state) => state !== 'connecting')).toEqual(['connected']);
        expect(transports(name)).toHaveLength(1);
      }
    },
    LONG_MS,
  );

  test.each(['passive', 'active'] as const)(
    'restarts ICE while its owner dies: the adopter, %s in DTLS, answers, all is heard under the same keys, and through the next death',
    async (role) => {
      const alice = new Leg('alice', 'bob', 450);
      const bob = new Leg('bob', 'alice', 700);
      const bothHear = () => Promise.all([alice.peer.hears(700), bob.peer.hears(450)]);
      await Promise.all([alice.connect('a', role), bob.connect('a', 'passive')]);
      await bothHear();
      const path = await alice.peer.selectedPair();
      expect(path).toBeDefined();

      const offer = await alice.peer.offer({ iceRestart: true });
      const adopter = await dies('a');
      alice.ice = newCredentials();
      alice.epoch++;
      await alice.put(adopter, { role, fingerprints: [fingerprintOf(offer)] }, iceOf(offer));
      await alice.peer.takeAnswer(alice.ours(role));
      await bothHear();
      // Not by the old path.
      await expect.poll(() => alice.peer.selectedPair()).not.toBe(path);
      await pair.startAgain('a');
      await dies(adopter);
      await bothHear();
      for (const { peer, name } of [alice, bob]) {
        expect(peer.states.filter((state) => state !== 'connecting')).toEqual(['connected']);
        expect(transports(name)).toHaveLength(1);
      }
    },
    LONG_MS,
  );

  test(
    'is handed over while both live, and hears on',
    async () => {
      const alice = new Leg('alice', 'bob', 450);
      const bob = new Leg('bob', 'alice', 700);
      await Promise.all([alice.connect('a', 'passive'), bob.connect('a', 'passive')]);
      await Promise.all([alice.peer.hears(700), bob.peer.hears(450)]);
      expect(await pair.command('a', 'hand-over', {})).toEqual({ handed: 2, remaining: 0 });
      await Promise.all([alice.peer.hears(700), bob.peer.hears(450)]);
      expect(alice.peer.states.filter((state) => state !== 'connecting')).toEqual(['connected']);
    },
    LONG_MS,
  );
});

describe('an owner that dies in the middle of the handshake', () => {
  let proxy: DtlsFilter;
  afterEach(() => proxy.close());

  test.each(['peer', 'us'] as const)(
    'a new offer by %s with the other certificate brings the call up',
    async (offerer) => {
      const alice = new Leg('alice', 'bob', 450);
      const bob = new Leg('bob', 'alice', 700);
      await bob.connect('a', 'passive');
      await pair.until(() => transports('bob').length > 0);
      const offer = await alice.peer.offer();
      const theirs = { role: 'passive', fingerprints: [fingerprintOf(offer)] } as const;
      const opened = await alice.put('a', theirs, iceOf(offer));
      proxy = await DtlsFilter.open(opened.port);
      await alice.peer.takeAnswer(alice.ours('passive', proxy.near));
      await proxy.dropped;
      const owner = await dies('a');
      await pair.until(() => transports('alice').length > 0);
      expect(transports('alice')).toEqual([
        {
          by: owner,
          type: 'transport',
          stream: 'alice',
          state: 'failed',
          problem: expect.stringMatching(/new offer is needed/),
        },
      ]);
      expect(alice.peer.connection.connectionState).toBe('connecting');
      proxy.passes = true;
      alice.epoch = 2;
      if (offerer === 'peer') {
        const again = await alice.peer.offer();
        const terms = { role: 'passive', fingerprints: [fingerprintOf(again)], association: 1 } as const;
        await alice.put(owner, terms, iceOf(again));
        // Our first flight shows the other certificate before our answer does: alice believes none of it and begins anew.
        await proxy.passed;
        await alice.peer.takeAnswer(alice.ours('passive', proxy.near));
      } else {
        await alice.put(owner, { role: 'passive', fingerprints: [], association: 1 }, iceOf(offer));
        const answer = await alice.peer.answerTo(alice.ours('actpass', proxy.near));
        expect(answer).toMatch(/a=setup:active/);
        const terms = { role: 'passive', fingerprints: [fingerprintOf(answer)], association: 1 } as const;
        await alice.put(owner, terms, iceOf(answer));
      }
      await Promise.all([alice.peer.hears(700), bob.peer.hears(450)]);
      expect(transports('alice').at(-1)).toMatchObject({ by: owner, state: 'connected' });
    },
    LONG_MS,
  );
});

/** Between a peer and us: keeps back what we say by DTLS until `passes`. */
class DtlsFilter {
  readonly near: { readonly address: string; readonly port: number };
  /** Something of ours was kept back. */
  readonly dropped: Promise<void>;
  /** Something of ours went through. */
  readonly passed: Promise<void>;
  passes = false;
  readonly #sockets: readonly dgram.Socket[];

  private constructor(near: dgram.Socket, far: dgram.Socket, port: number) {
    this.near = near.address();
    this.#sockets = [near, far];
    let client: dgram.RemoteInfo | undefined;
    near.on('message', (packet, from) => {
      client = from;
      far.send(packet, port, '127.0.0.1');
    });
    let drop!: () => void;
    let pass!: () => void;
    this.dropped = new Promise((resolve) => {
      drop = resolve;
    });
    this.passed = new Promise((resolve) => {
      pass = resolve;
    });
    far.on('message', (packet) => {
      const isDtls = packet[0]! >= 20 && packet[0]! < 64;
      if (isDtls && !this.passes) return drop();
      if (client) near.send(packet, client.port, client.address, () => isDtls && pass());
    });
  }

  static async open(port: number): Promise<DtlsFilter> {
    return new DtlsFilter(await openSocket('127.0.0.1'), await openSocket('127.0.0.1'), port);
  }

  close(): void {
    for (const socket of this.#sockets) socket.close();
  }
}
