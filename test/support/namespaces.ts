import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** A machine of its own with one address, as far as its network goes. */
export interface Machine {
  readonly name: string;
  readonly address: string;
}

/**
 * Machines in network namespaces (Linux, root), all on one wire with this process. Each can be cut off from the wire and joined again;
 * `close` leaves nothing behind.
 */
export class MachineNetwork {
  readonly #prefix: string;
  readonly #machines: readonly Machine[];
  readonly #wire: string;
  readonly #here: string;

  /** `here`: the address of this process with the length of the common prefix, such as `10.80.0.1/16`. */
  static async open(machines: readonly Machine[], here: string): Promise<MachineNetwork> {
    const network = new MachineNetwork(machines);
    try {
      await network.#build(here);
    } catch (error) {
      await network.close();
      throw error;
    }
    return network;
  }

  /** Why there can be none here; undefined: there can. */
  static async whyNot(here: string): Promise<string | undefined> {
    if (process.platform !== 'linux') return 'network namespaces need Linux';
    if (process.getuid?.() !== 0) return 'network namespaces need root';
    const probe = `twlprobe${process.pid}`;
    try {
      await run('ip', ['netns', 'add', probe]);
      await run('ip', ['-n', probe, 'link', 'add', 'br0', 'type', 'bridge']);
    } catch (error) {
      return `network namespaces are not permitted: ${String((error as { stderr?: string }).stderr ?? error).trim()}`;
    } finally {
      await run('ip', ['netns', 'del', probe]).catch(() => {});
    }
    const [address = ''] = here.split('/');
    const { stdout } = await run('ip', ['route', 'get', address]).catch(() => ({ stdout: '' }));
    return /\bvia\b/.test(stdout) || stdout === '' ? undefined : `${here} is in use on this machine`;
  }

  private constructor(machines: readonly Machine[]) {
    this.#machines = machines;
    this.#prefix = `twl${process.pid}`;
    this.#wire = `${this.#prefix}w`;
    this.#here = `${this.#prefix}h`;
  }

  /** The namespace of a machine, for `ip netns exec`. */
  namespaceOf(name: string): string {
    return `${this.#prefix}-${name}`;
  }

  /** Nothing reaches the machine any more, nor leaves it; it notices nothing but silence. */
  async cut(name: string): Promise<void> {
    await this.#inWire('link', 'set', `m-${name}`, 'down');
  }

  async join(name: string): Promise<void> {
    await this.#inWire('link', 'set', `m-${name}`, 'up');
  }

  /** The two machines do not reach each other any more, but everybody else. Only by their own addresses. */
  async separate(one: string, other: string): Promise<void> {
    await this.#blackhole('add', one, other);
  }

  async reunite(one: string, other: string): Promise<void> {
    await this.#blackhole('del', one, other);
  }

  async #blackhole(how: 'add' | 'del', ...names: readonly [string, string]): Promise<void> {
    for (const [at, name] of names.entries()) {
      const other = this.#machines.find((machine) => machine.name === names[1 - at])!;
      await run('ip', ['-n', this.namespaceOf(name), 'route', how, 'blackhole', `${other.address}/32`]);
    }
  }

  async close(): Promise<void> {
    await run('ip', ['link', 'del', this.#here]).catch(() => {});
    for (const namespace of [this.#wire, ...this.#machines.map(({ name }) => this.namespaceOf(name))])
      await run('ip', ['netns', 'del', namespace]).catch(() => {});
  }

  async #build(here: string): Promise<void> {
    await run('ip', ['netns', 'add', this.#wire]);
    await this.#inWire('link', 'add', 'wire', 'type', 'bridge');
    await this.#inWire('link', 'set', 'wire', 'up');
    await this.#plug(this.#here, 'm-here');
    await run('ip', ['address', 'add', here, 'dev', this.#here]);
    await run('ip', ['link', 'set', this.#here, 'up']);
    const [, length = '24'] = here.split('/');
    for (const { name, address } of this.#machines) {
      const namespace = this.namespaceOf(name);
      await run('ip', ['netns', 'add', namespace]);
      const device = `${this.#prefix}n`;
      await this.#plug(device, `m-${name}`);
      await run('ip', ['link', 'set', device, 'netns', namespace, 'name', 'eth0']);
      const inside = (...words: string[]) => run('ip', ['-n', namespace, ...words]);
      await inside('link', 'set', 'lo', 'up');
      await inside('address', 'add', `${address}/${length}`, 'dev', 'eth0');
      await inside('link', 'set', 'eth0', 'up');
    }
  }

  /** A pair of ends: one here, the other on the wire. */
  async #plug(device: string, socket: string): Promise<void> {
    await run('ip', ['link', 'add', device, 'type', 'veth', 'peer', 'name', socket, 'netns', this.#wire]);
    await this.#inWire('link', 'set', socket, 'master', 'wire', 'up');
  }

  #inWire(...words: string[]): Promise<unknown> {
    return run('ip', ['-n', this.#wire, ...words]);
  }
}
