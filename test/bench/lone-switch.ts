import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import {
  type EdgeId,
  type FlowId,
  type MediaId,
  newBundleId,
  type StreamId,
  type SwitchId,
  silentLogger,
  Tokens,
  type ZoneId,
} from '../../src/base/index.ts';
import { indexDirectories } from '../../src/directory/index.ts';
import { type Channel, type Flow, memoryLink } from '../../src/link/index.ts';
import type { StreamOpened } from '../../src/media/index.ts';
import { systemClock, systemRandom } from '../../src/native/index.ts';
import { toBytes } from '../../src/sip/index.ts';
import { openLmdbState, openVault, sealer } from '../../src/state/index.ts';
import { CallSwitch } from '../../src/switch/index.ts';
import { demoDirectory } from '../sim/phones.ts';

const ZONE = 'a' as ZoneId;
const SWITCH = 'a1' as SwitchId;
const BUNDLES = 16;
const MEDIA_PORTS = { first: 20_000, last: 60_000 };
const PLENTY = 1_000_000;

/** Hears what the switch says over its flow. */
type Hears = (text: string) => void;

/**
 * One call switch with its state in LMDB, in this process, and around it as little as can be: an edge that passes texts on, media that has
 * always room, a supervisor that grants bundles once. What it uses is what a switch uses.
 */
export class LoneSwitch {
  readonly #hears = new Map<FlowId, Hears>();
  readonly #edge: Channel;
  readonly #close: () => Promise<void>;

  private constructor(edge: Channel, close: () => Promise<void>) {
    this.#edge = edge;
    this.#close = close;
    edge.onFrame((frame) => {
      if (frame.kind === 'own') return { kind: 'own', data: {} };
      if (frame.kind !== 'sip') return undefined;
      const { flow } = frame.data as { flow: FlowId };
      const text = Buffer.from(frame.body ?? []).toString('latin1');
      // A phone answers in a turn of its own, as it would.
      setImmediate(() => this.#hears.get(flow)?.(text));
      return undefined;
    });
  }

  static async open(): Promise<LoneSwitch> {
    const [clock, random, log] = [systemClock, systemRandom, silentLogger];
    const directory = mkdtempSync(path.join(tmpdir(), 'twinline-switch-'));
    const state = await openLmdbState({
      directory,
      zone: ZONE,
      twin: 'b' as ZoneId,
      clock,
      log,
      bootId: 'measured',
    });
    const vault = openVault({ directory, zone: ZONE, bootId: 'measured', random });
    const callSwitch = new CallSwitch({
      id: SWITCH,
      zone: ZONE,
      switchesInZone: 1,
      capacity: { calls: PLENTY, callsPerSecond: PLENTY },
      preferredMedia: ZONE as string as MediaId,
      clock,
      random,
      state,
      sealer: sealer({ newest: 1, keys: new Map([[1, Buffer.alloc(32, 9)]]) }, random, vault),
      tokens: new Tokens(Buffer.alloc(32, 7)),
      pairSecret: Buffer.alloc(32, 8),
      directories: {
        directories: indexDirectories([await demoDirectory()]),
        refresh: async () => {},
        close: () => {},
      },
      serverName: 'Twinline',
      log,
    });
    const peer = (role: string, id: string) => ({ role, id, pid: 1, startTime: 1 });
    const linkTo = (role: string, id: string) =>
      memoryLink({ clock, left: peer('switch', SWITCH), right: peer(role, id) });
    const [zone, media, edge] = [linkTo('zone', ZONE), linkTo('media', ZONE), linkTo('edge', 'edge1')];
    serveMedia(media.right);
    zone.right.onFrame(() => undefined);
    const lone = new LoneSwitch(edge.right, async () => {
      callSwitch.stop();
      await state.close();
      vault.close();
      rmSync(directory, { recursive: true, force: true });
    });
    callSwitch.acceptZone(zone.left);
    callSwitch.acceptMedia(media.left);
    callSwitch.acceptEdge(edge.left);
    const bundles = await Promise.all(
      Array.from({ length: BUNDLES }, () => state.grant(newBundleId(random), SWITCH, ZONE)),
    );
    await zone.right.request({ kind: 'grant', data: { bundles }, lane: 'priority' }, 5_000);
    return lone;
  }

  /** A phone's UDP flow. */
  connect(port: number, hears: Hears): { say(text: string): void } {
    const id = `u:edge1:0:127.0.0.1:${port}` as FlowId;
    const flow: Flow = {
      id,
      edge: 'edge1' as EdgeId,
      transport: 'udp',
      local: { address: '127.0.0.1', port: 5060 },
      remote: { address: '127.0.0.1', port },
    };
    this.#hears.set(id, hears);
    return {
      say: (text) => {
        this.#edge.send({ kind: 'sip', data: { flow }, body: toBytes(text) });
      },
    };
  }

  close(): Promise<void> {
    return this.#close();
  }
}

/** Every stream gets a port, and none ever carried anything. */
function serveMedia(channel: Channel): void {
  let port = MEDIA_PORTS.first;
  channel.onFrame((frame) => {
    if (frame.kind === 'put') {
      const { id } = (frame.data as { stream: { id: StreamId } }).stream;
      port = port >= MEDIA_PORTS.last ? MEDIA_PORTS.first : port + 2;
      const opened: StreamOpened = {
        stream: id,
        media: ZONE as string as MediaId,
        address: '127.0.0.1',
        port,
        rtcpPort: port + 1,
      };
      return { kind: 'put', data: opened };
    }
    if (frame.kind === 'close') return { kind: 'close', data: { reports: [] } };
    return frame.kind === 'greet' ? undefined : { kind: frame.kind, data: {} };
  });
}
