import { type CallId, type Clock, type SwitchId, TwinlineError } from '../base/index.ts';
import type { ControlToSwitch, ControlToZone, HandedOver } from '../link/index.ts';
import { isSameProcess, killExact } from '../native/index.ts';
import type { InstallationStatus, Maintained } from './commands.ts';
import type { Shape } from './gather.ts';
import type { Links } from './links.ts';
import { checkHere, findProcesses, parseTarget, type Target } from './processes.ts';

/** Every switch of a zone lets go and is adopted, one after the other. */
const DRAIN_WITHIN_MS = 25_000;
/** A process that was asked to end. */
const ENDED_WITHIN_MS = 10_000;
const LOOK_AGAIN_MS = 20;

export interface MaintenanceOptions {
  readonly shape: Shape;
  readonly links: Links;
  readonly clock: Clock;
  readonly status: () => Promise<InstallationStatus>;
  /** Starts a zone or an edge, and resolves when it serves. */
  readonly start: (target: string) => Promise<unknown>;
}

/** What an operator does to a running system without anybody on the phone noticing: draining, restarting, moving calls (PH-ZONE-19). */
export class Maintenance {
  readonly #options: MaintenanceOptions;

  constructor(options: MaintenanceOptions) {
    this.#options = options;
  }

  /** New work goes elsewhere, and with `on` the calls that are there go over to others. */
  async drain(targetText: string, on: boolean): Promise<Maintained> {
    const target = this.#parse(targetText);
    const name = `${target.role} ${target.id}`;
    const zone = this.#zoneOf(target);
    if (zone === undefined)
      throw new TwinlineError(
        'bad_target',
        `${name} cannot be drained: name a zone, a switch or a media process`,
      );
    const data = { target: name, on };
    const moved = await this.#options.links.ask<HandedOver>('zone', zone, 'drain', data, DRAIN_WITHIN_MS);
    return { target: name, ...moved };
  }

  /**
   * Ends processes in order and starts them anew, each emptied before: a switch into its siblings, a zone into its twin. The twins of what is
   * restarted must be there to take the calls, else it is refused with `no_adopter` and nothing is ended.
   */
  async restart(targetText: string): Promise<Maintained> {
    const target = this.#parse(targetText);
    const name = `${target.role} ${target.id}`;
    switch (target.role) {
      case 'switch':
      case 'media': {
        const zone = this.#zoneOf(target)!;
        if (target.role === 'media') await this.#checkOthersServe(zone);
        const data = { target: name };
        await this.#options.links.ask<ControlToZone['restart']['reply']>(
          'zone',
          zone,
          'restart',
          data,
          DRAIN_WITHIN_MS,
        );
        return { target: name, bundles: 0, calls: 0 };
      }
      case 'zone': {
        checkHere(target, this.#options.shape.zones, this.#options.shape.elsewhere);
        await this.#checkOthersServe(target.id);
        const moved = await this.drain(name, true);
        await this.#end(target);
        await this.#start(name);
        return moved;
      }
      case 'edge':
        checkHere(target, this.#options.shape.zones, this.#options.shape.elsewhere);
        // The launcher starts it again by itself.
        await this.#end(target);
        await this.#serves(target.id);
        return { target: name, bundles: 0, calls: 0 };
      case 'control':
        throw new TwinlineError(
          'bad_target',
          'control cannot restart itself: "twinline kill control" does, nobody on the phone notices',
        );
    }
  }

  /** Everything of this machine that carries calls, one after the other: zone by zone, then edge by edge. */
  async restartAll(): Promise<Maintained> {
    const { shape } = this.#options;
    const isHere = (name: string): boolean => shape.elsewhere?.has(name) !== true;
    let calls = 0;
    let bundles = 0;
    for (const zone of shape.zones.filter(({ id }) => isHere(`zone ${id}`))) {
      const moved = await this.restart(`zone ${zone.id}`);
      calls += moved.calls;
      bundles += moved.bundles;
    }
    for (const edge of shape.edges) if (isHere(`edge ${edge}`)) await this.restart(`edge ${edge}`);
    return { target: 'everything', bundles, calls };
  }

  /** Moves one call, and what shares its bundle, to another switch. */
  async move(call: string, to: string): Promise<Maintained> {
    const { shape, links } = this.#options;
    const switches = shape.zones.flatMap((zone) => zone.switches);
    const id = to.replace(/^switch\s+/, '');
    if (!switches.includes(id))
      throw new TwinlineError('bad_target', `there is no switch ${id}; there is: ${switches.join(', ')}`);
    const data: Omit<ControlToSwitch['migrate'], 'reply'> = { call: call as CallId, to: id as SwitchId };
    for (const one of switches) {
      if (links.channel('switch', one) === undefined) continue;
      const moved = await links.ask<HandedOver | undefined>('switch', one, 'migrate', data, DRAIN_WITHIN_MS);
      if (moved !== undefined) return { target: `call ${call}`, ...moved };
    }
    throw new TwinlineError('no_such_call', `no switch has a call "${call}": "twinline calls" lists them`);
  }

  #parse(text: string): Target {
    return parseTarget(text, this.#options.shape.zones, this.#options.shape.edges);
  }

  #zoneOf({ role, id }: Target): string | undefined {
    if (role === 'zone') return id;
    if (role !== 'switch' && role !== 'media') return undefined;
    return this.#options.shape.zones.find((zone) =>
      role === 'switch' ? zone.switches.includes(id) : zone.media.includes(id),
    )?.id;
  }

  async #checkOthersServe(zone: string): Promise<void> {
    const { zones } = await this.#options.status();
    const twin = zones.find(({ id }) => id !== zone);
    if (twin?.state !== 'up')
      throw new TwinlineError(
        'no_adopter',
        `zone ${zone} is not ended: ${twin === undefined ? 'it has no twin' : `zone ${twin.id} is ${twin.state}`}, nobody could take its calls over`,
      );
  }

  /** SIGTERM, and waits until it has ended in order. */
  async #end({ role, id }: Target): Promise<void> {
    const { shape, clock } = this.#options;
    const found = findProcesses(shape.planFile).filter((one) => one.role === role && one.id === id);
    if (found.length === 0) throw new TwinlineError('not_running', `${role} ${id} does not run`);
    for (const { pid, startTime } of found) killExact(pid, startTime, 'SIGTERM');
    const untilMs = clock.nowMs() + ENDED_WITHIN_MS;
    while (found.some(({ pid, startTime }) => isSameProcess(pid, startTime))) {
      if (clock.nowMs() > untilMs)
        throw new TwinlineError(
          'not_ended',
          `${role} ${id} was asked to end and still runs: "twinline kill ${role} ${id}" ends it`,
        );
      await new Promise<void>((resolve) => clock.after(LOOK_AGAIN_MS, resolve));
    }
  }

  /** The launcher may hear of the end a moment after us. */
  async #start(name: string): Promise<void> {
    const { clock, start } = this.#options;
    const untilMs = clock.nowMs() + ENDED_WITHIN_MS;
    for (;;) {
      try {
        await start(name);
        return;
      } catch (error) {
        const isHeardLater = error instanceof TwinlineError && error.code === 'already_running';
        if (!isHeardLater || clock.nowMs() > untilMs) throw error;
      }
      await new Promise<void>((resolve) => clock.after(LOOK_AGAIN_MS, resolve));
    }
  }

  async #serves(edge: string): Promise<void> {
    const { clock, status } = this.#options;
    const untilMs = clock.nowMs() + ENDED_WITHIN_MS;
    for (;;) {
      const now = (await status()).edges.find(({ id }) => id === edge);
      if (now?.state === 'up' && now.openZones.length > 0) return;
      if (clock.nowMs() > untilMs)
        throw new TwinlineError('slow_start', `edge ${edge} was ended and does not serve again yet`);
      await new Promise<void>((resolve) => clock.after(LOOK_AGAIN_MS, resolve));
    }
  }
}
