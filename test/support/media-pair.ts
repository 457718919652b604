import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { silentLogger } from '../../src/base/index.ts';
import { type Channel, connectLink, type LinkClient } from '../../src/link/index.ts';
import type {
  HandedOver,
  MediaEvent,
  StreamOpened,
  StreamPlace,
  StreamReport,
  StreamSpec,
  StreamsFound,
  SupervisorToMedia,
} from '../../src/media/index.ts';
import { type DtlsIdentity, systemClock, systemRandom } from '../../src/native/index.ts';
import { Changes } from './changes.ts';

const LOADER = new URL('./typescript-loader.mjs', import.meta.url).href;
const CHILD = fileURLToPath(new URL('./media-child.ts', import.meta.url));

interface Said {
  readonly event: string;
  readonly [field: string]: unknown;
}

/** Two media processes that stand by for each other, and one switch's channels to both. They can be killed and started anew. */
export class MediaPair {
  readonly directory = mkdtempSync(join(tmpdir(), 'tl-'));
  readonly events: (MediaEvent & { readonly by: string })[] = [];
  readonly logged: (Said & { readonly by: string })[] = [];
  readonly #children = new Map<string, ChildProcess>();
  readonly #links: LinkClient[] = [];
  readonly #channels = new Map<string, Channel>();
  readonly #changes = new Changes();
  readonly #firstPort: number;
  readonly #ports: number;
  readonly #dtls: readonly DtlsIdentity[];

  private constructor(firstPort: number, ports: number, dtls: readonly DtlsIdentity[]) {
    this.#dtls = dtls;
    this.#firstPort = firstPort;
    this.#ports = ports;
  }

  /** Each process has that many ports. */
  static async start(
    firstPort: number,
    ports = 1000,
    dtls: readonly DtlsIdentity[] = [],
  ): Promise<MediaPair> {
    const pair = new MediaPair(firstPort, ports, dtls);
    await Promise.all([pair.startProcess('a'), pair.startProcess('b')]);
    for (const id of ['a', 'b']) pair.#connect(id);
    await pair.until(() => pair.#channels.size === 2 && pair.#standingBy('a') && pair.#standingBy('b'));
    return pair;
  }

  /** Resolves when `id` serves; its twin, if it lives, has then handed its streams over to it. */
  async startProcess(id: string): Promise<void> {
    const twin = id === 'a' ? 'b' : 'a';
    const first = this.#firstPort + (id === 'a' ? 0 : this.#ports);
    const options = {
      id,
      twin,
      directory: this.directory,
      first,
      last: first + this.#ports - 1,
      dtls: this.#dtls,
    };
    const child = fork(CHILD, [JSON.stringify(options)], { execArgv: ['--import', LOADER] });
    this.#children.set(id, child);
    let ready = false;
    let ended = false;
    child.once('exit', () => {
      ended = true;
      this.#changes.tell();
    });
    child.on('message', (message) => {
      const said = message as Said;
      ready ||= said.event === 'ready';
      this.logged.push({ ...said, by: id });
      this.#changes.tell();
    });
    await this.until(() => ready || ended);
    if (!ready) throw new Error(`media process ${id} ended before it served; its error stands above`);
  }

  /** Resolves when both stand by for each other again and the switch has its channel: an event before that reaches nobody. */
  async startAgain(id: string): Promise<void> {
    const before = this.logged.length;
    await this.startProcess(id);
    await this.until(
      () => this.#standingBy('a', before) && this.#standingBy('b', before) && this.connected(id),
    );
  }

  pid(id: string): number {
    return this.#children.get(id)?.pid ?? 0;
  }

  kill(id: string, signal: NodeJS.Signals = 'SIGKILL'): void {
    this.#children.get(id)?.kill(signal);
  }

  async put(id: string, stream: StreamSpec, opened?: StreamPlace): Promise<StreamOpened> {
    const data = { stream, ...(opened && { opened }) };
    return (await this.#channel(id).request({ kind: 'put', data }, 2000)).data as StreamOpened;
  }

  /** What a supervisor says. */
  async command<Kind extends keyof SupervisorToMedia>(
    id: string,
    kind: Kind,
    data: Omit<SupervisorToMedia[Kind], 'reply'>,
  ): Promise<HandedOver> {
    let client: LinkClient | undefined;
    const connected = new Promise<Channel>((onChannel) => {
      client = this.#link(id, 'zone', onChannel);
    });
    // Killed before it has greeted, it would be waited for until its next life.
    const ended = this.ended(id).then(() => {
      throw new Error(`media ${id} has ended`);
    });
    ended.catch(() => {});
    try {
      const channel = await Promise.race([connected, ended]);
      return (await channel.request({ kind, data }, 10_000)).data as HandedOver;
    } finally {
      client?.close();
    }
  }

  async find(id: string, streams: readonly string[]): Promise<StreamsFound> {
    return (await this.#channel(id).request({ kind: 'find', data: { streams } }, 2000)).data as StreamsFound;
  }

  /** Resolves when the process has ended. */
  async ended(id: string): Promise<void> {
    const child = this.#children.get(id);
    if (child !== undefined && child.exitCode === null && child.signalCode === null)
      await once(child, 'exit');
  }

  /** Asks it to end, as a supervisor does. */
  async stop(id: string): Promise<void> {
    this.#children.get(id)?.send('stop');
    await this.ended(id);
  }

  /** A switch has its channel to the process (again). */
  connected(id: string): boolean {
    return this.#channels.get(id)?.open === true;
  }

  async close(id: string, bundle: string, streams: readonly string[]): Promise<StreamReport[]> {
    const reply = await this.#channel(id).request(
      { kind: 'close', data: { bundle, epoch: 1, streams } },
      2000,
    );
    return (reply.data as { reports: StreamReport[] }).reports;
  }

  async status(id: string): Promise<Said> {
    const before = this.logged.length;
    this.#children.get(id)?.send('status');
    const answer = () => this.logged.slice(before).find(({ by, event }) => by === id && event === 'status');
    await this.until(() => answer() !== undefined);
    return answer()!;
  }

  /** Waits until what was heard makes `condition` true. */
  until(condition: () => boolean): Promise<void> {
    return this.#changes.until(condition);
  }

  end(): void {
    for (const link of this.#links) link.close();
    for (const child of this.#children.values()) child.kill('SIGKILL');
    rmSync(this.directory, { recursive: true });
  }

  /** `id` has said since then that its twin stands by. */
  #standingBy(id: string, since = 0): boolean {
    return this.logged.slice(since).some(({ by, event }) => by === id && event === 'media.standing-by');
  }

  #channel(id: string): Channel {
    const channel = this.#channels.get(id);
    if (channel === undefined) throw new Error(`no channel to media ${id}`);
    return channel;
  }

  #connect(id: string): void {
    const link = this.#link(id, 'switch', (channel) => {
      this.#channels.set(id, channel);
      channel.onFrame((frame) => {
        if (frame.kind === 'event') this.events.push({ ...(frame.data as MediaEvent), by: id });
        this.#changes.tell();
        return undefined;
      });
      channel.onClose(() => {
        if (this.#channels.get(id) === channel) this.#channels.delete(id);
        this.#changes.tell();
      });
      this.#changes.tell();
    });
    this.#links.push(link);
  }

  #link(id: string, role: string, onChannel: (channel: Channel) => void): LinkClient {
    return connectLink({
      path: join(this.directory, `${id}.sock`),
      self: { role, id: 'a1', pid: process.pid, startTime: 0 },
      clock: systemClock,
      random: systemRandom,
      log: silentLogger,
      onChannel,
    });
  }
}
