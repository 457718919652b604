import {
  type BundleId,
  type Clock,
  type Logger,
  type Random,
  type SwitchId,
  type Timer,
  TwinlineError,
  type ZoneId,
} from '../base/index.ts';
import type {
  Channel,
  ControlToZone,
  Frame,
  HandedOver,
  MediaToZone,
  ProcessRef,
  SwitchToZone,
  ZoneStatus,
  ZoneToSwitch,
  ZoneToZone,
} from '../link/index.ts';
import type { StatePort } from '../state/index.ts';
import { type Child, type ChildRole, type Spawner, startChild } from './children.ts';
import { DistantTwin, type DistantTwinOptions } from './distant-twin.ts';
import { fence, type ProcessEnder } from './fencing.ts';
import { GRANT_TIMEOUT_MS, Grants } from './grants.ts';
import { HandOvers } from './hand-over.ts';
import { Heartbeat } from './heartbeat.ts';
import type { ProcessWatch } from './process-facts.ts';

/** Handing over all streams of a media process, one message each. */
const DRAIN_MEDIA_MS = 5_000;
/** The twin was just started, and its media process does not stand by yet. */
const TWIN_MEDIA_WITHIN_MS = 10_000;
const ASK_AGAIN_MS = 100;
/** A child that dies at once again and again must not spin: the pause doubles from the first to the second figure. */
const RESTART_PAUSE_MS = 50;
const RESTART_PAUSE_MAX_MS = 5_000;
const STABLE_AFTER_MS = 10_000;
/**
 * When two supervisors that both run have lost sight of each other they must not end each other in the same moment: the one whose
 * zone sorts last waits this long, and is dead by then if the other one was well.
 */
const COURTESY_MS = 300;

export interface SupervisorOptions {
  readonly zone: ZoneId;
  readonly twin: ZoneId | undefined;
  /** The twin runs on another machine: its processes cannot be ended from here. Needs a state with `zones`. */
  readonly twinElsewhere?: DistantTwinOptions['addresses'];
  readonly switches: readonly SwitchId[];
  readonly media: readonly string[];
  readonly clock: Clock;
  readonly random: Random;
  readonly state: StatePort;
  readonly spawner: Spawner;
  readonly ender: ProcessEnder;
  /** What the machine tells of processes that do not answer. */
  readonly look?: ProcessWatch;
  readonly log: Logger;
  /** The zone was taken by its twin, and its processes are dead: this one must end too. */
  readonly onTaken?: () => void;
}

interface Twin {
  readonly channel: Channel;
  processes: readonly ProcessRef[];
  /** What its switches read; undefined before it said so. */
  readsForm: number | undefined;
}

/**
 * Keeps one zone alive and takes the twin's work over when the twin is gone. It grants leases; it never touches a call. The
 * order of an adoption is always: the stale process is dead, the lease is granted in the state, the adopter is told.
 */
export class Supervisor {
  readonly #options: SupervisorOptions;
  readonly #children = new Map<string, Child>();
  readonly #heartbeat: Heartbeat;
  readonly #grants: Grants;
  readonly #handOvers: HandOvers;
  readonly #distant: DistantTwin | undefined;
  #twin: Twin | undefined;
  #draining = false;
  #stopping = false;
  readonly #timers = new Set<Timer>();

  constructor(options: SupervisorOptions) {
    this.#options = options;
    this.#heartbeat = new Heartbeat({
      clock: options.clock,
      log: options.log,
      onSilent: (name) => this.#onSilent(name),
      look: options.look,
    });
    const { zone, twin, random, state, log } = options;
    const live = () => this.#liveSwitches();
    const twinAdopts = () => {
      const channel = this.#twin?.channel;
      if (channel?.open !== true) return undefined;
      return (bundles: readonly BundleId[], to?: SwitchId) => this.#askTwinToAdopt(channel, bundles, to);
    };
    const later = (delayMs: number, action: () => void) => this.#later(delayMs, action);
    this.#grants = new Grants({ zone, twin, random, state, log, live, twinAdopts, later });
    this.#distant = options.twinElsewhere && this.#distantTwin(options.twinElsewhere);
    this.#handOvers = new HandOvers({
      zone,
      state,
      log,
      live,
      grant: (bundles, from, may) =>
        this.#grants.grantHeld(bundles, (lease) => lease.owner === from && lease.zone === zone, may),
      twin: twinAdopts,
    });
  }

  /** Starts every child of the zone; with a twin on another machine when the zone is ours. */
  start(): void {
    if (this.#distant === undefined) this.#startAll();
    else void this.#distant.begin().then(() => this.#startAll());
  }

  #startAll(): void {
    if (this.#stopping) return;
    for (const id of this.#options.media) this.#startChild('media', id);
    for (const id of this.#options.switches) this.#startChild('switch', id);
    this.#heartbeat.start();
  }

  #distantTwin(addresses: DistantTwinOptions['addresses']): DistantTwin {
    const { zone, twin, clock, random, log, state, ender, onTaken } = this.#options;
    if (state.zones === undefined || twin === undefined)
      throw new TwinlineError('state_unfit', 'a twin on another machine needs a state that both reach');
    const children = (): Child[] => [...this.#children.values()];
    return new DistantTwin({
      zone,
      leases: state.zones,
      addresses,
      clock,
      random,
      log,
      tellChildren: (frame) => {
        for (const { channel } of children()) channel?.send(frame);
      },
      tellMedia: (frame) => {
        for (const { role, channel } of children()) if (role === 'media') channel?.send(frame);
      },
      adopt: () => this.#grants.serially(() => this.#grants.adoptZone(twin)),
      end: () => {
        this.#stopping = true;
        void fence(
          children().map((child) => child.process),
          ender,
          log,
        )
          .then(() => this.#distant?.dropAddresses())
          .finally(() => onTaken?.());
      },
    });
  }

  /** A child or the twin's supervisor has connected. */
  accept(channel: Channel): void {
    switch (channel.peer.role) {
      case 'switch':
      case 'media':
        this.#acceptChild(channel);
        return;
      case 'zone':
        this.acceptTwin(channel);
        return;
      case 'control':
        channel.onFrame((frame) => this.#onControl(frame));
        return;
      default:
        channel.close(`a zone's supervisor does not talk to a ${channel.peer.role}`);
    }
  }

  /** The twin has connected, or we to it: one channel between the two. A new one replaces the old. */
  acceptTwin(channel: Channel): void {
    const { zone, twin, log } = this.#options;
    if (channel.peer.id !== twin) {
      channel.close(`zone ${channel.peer.id} is not the twin of zone ${zone}`);
      return;
    }
    const before = this.#twin;
    const supervisor: ProcessRef = {
      role: 'zone',
      id: channel.peer.id,
      pid: channel.peer.pid,
      startTime: channel.peer.startTime,
    };
    const samePeer = before?.channel.peer.pid === channel.peer.pid;
    const entry: Twin = {
      channel,
      readsForm: undefined,
      processes: samePeer ? (before?.processes ?? [supervisor]) : [supervisor],
    };
    this.#twin = entry;
    log.info({ twin: channel.peer.id, pid: channel.peer.pid }, 'twin.connected');
    channel.onFrame((frame) => {
      this.#heartbeat.heard('twin');
      switch (frame.kind) {
        case 'processes':
          this.#twinSays(entry, supervisor, frame.data as ZoneToZone['processes']);
          return undefined;
        case 'ping':
          return { kind: 'ping', data: {} };
        case 'adopt': {
          const { bundles, to } = frame.data as ZoneToZone['adopt'];
          return this.#grants
            .adoptForTwin(bundles, to)
            .then((granted) => ({ kind: 'adopt', data: { granted } }));
        }
        default:
          return this.#distant?.onFrame(frame);
      }
    });
    channel.onClose(() => {
      if (this.#twin === entry) this.#twinGone('its channel closed');
    });
    if (this.#distant === undefined) this.#heartbeat.watch('twin', channel, supervisor);
    else this.#distant.connected(channel);
    this.#tellTwin();
    this.#tellSwitches();
  }

  #twinSays(twin: Twin, supervisor: ProcessRef, { processes, readsForm }: ZoneToZone['processes']): void {
    twin.processes = [supervisor, ...processes];
    if (twin.readsForm === readsForm) return;
    twin.readsForm = readsForm;
    this.#tellSwitches();
  }

  get twinUp(): boolean {
    return this.#twin !== undefined;
  }

  status(): ZoneStatus {
    const { zone } = this.#options;
    const children = [...this.#children.values()];
    const up = (child: Child) => child.state === 'up';
    const switches = children.filter((child) => child.role === 'switch');
    const media = children.filter((child) => child.role === 'media');
    return {
      id: zone,
      state: this.#draining ? 'draining' : children.every(up) ? 'up' : 'starting',
      loadPercent: Math.round(100 * this.#load()),
      switches: switches.map((child) => ({
        id: child.id as SwitchId,
        pid: child.process.pid,
        state: child.state,
        calls: child.stats.calls ?? 0,
        cpuPercent: child.stats.cpuPercent ?? 0,
        rssKib: child.stats.rssKib ?? 0,
      })),
      media: media.map((child) => ({
        id: child.id as ZoneStatus['media'][number]['id'],
        pid: child.process.pid,
        state: child.state,
        streams: child.stats.streams ?? 0,
        cpuPercent: child.stats.cpuPercent ?? 0,
        rssKib: child.stats.rssKib ?? 0,
      })),
      calls: switches.reduce((sum, child) => sum + (child.stats.calls ?? 0), 0),
      twinUp: this.twinUp,
    };
  }

  processes(): ProcessRef[] {
    return [...this.#children.values()].map((child) => ({ ...child.process }));
  }

  /** Ends the zone cleanly: nothing is restarted, nothing adopted. */
  async stop(): Promise<void> {
    this.#stopping = true;
    this.#heartbeat.stop();
    for (const timer of this.#timers) timer.cancel();
    await Promise.all([...this.#children.values()].map((child) => child.stop()));
    await this.#distant?.leave();
    await this.#grants.settled;
  }

  // --- children ---------------------------------------------------------------------------------------------------

  #startChild(role: ChildRole, id: string, restarts = 0): void {
    const { clock, log, spawner } = this.#options;
    const startedMs = clock.nowMs();
    const child = startChild(spawner, role, id);
    this.#children.set(child.name, child);
    log.info({ child: child.name, pid: child.process.pid }, 'child.started');
    this.#tellTwin();
    child.onExit((how) => {
      if (this.#stopping || this.#children.get(child.name) !== child) return;
      log.warn({ child: child.name, pid: child.process.pid, how }, 'child.ended');
      this.#heartbeat.forget(child.name);
      child.state = 'ended';
      child.channel?.close('the process has ended');
      if (role === 'media') void this.#distant?.mediaDied(id);
      // What it fails of is told there.
      if (role === 'switch') void this.#grants.shareOut(id as SwitchId).catch(() => {});
      const again = clock.nowMs() - startedMs > STABLE_AFTER_MS ? 0 : restarts + 1;
      const pauseMs = again === 0 ? 0 : Math.min(RESTART_PAUSE_MAX_MS, RESTART_PAUSE_MS * 2 ** (again - 1));
      this.#later(pauseMs, () => this.#startChild(role, id, again));
    });
  }

  #acceptChild(channel: Channel): void {
    const name = `${channel.peer.role} ${channel.peer.id}`;
    const child = this.#children.get(name);
    if (child === undefined || child.process.pid !== channel.peer.pid) {
      channel.close(`${name} with pid ${channel.peer.pid} is not a child of this zone`);
      return;
    }
    child.channel = channel;
    channel.onFrame(async (frame): Promise<Frame | undefined> => {
      this.#heartbeat.heard(name);
      if (frame.kind === 'stats') this.#onStats(child, frame.data as Partial<SwitchToZone['stats']>);
      if (frame.kind !== 'migrate') return undefined;
      const { bundle, to } = frame.data as SwitchToZone['migrate'];
      return { kind: 'migrate', data: await this.#handOvers.migrate(child, bundle, to) };
    });
    channel.onClose(() => {
      if (child.channel === channel) child.channel = undefined;
    });
    this.#heartbeat.watch(name, channel, child.process);
    this.#distant?.childUp(channel, child.role, child.id);
    child.state = 'up';
    if (child.role === 'switch') {
      this.#tellSwitches();
      if (this.#draining || child.draining) channel.send({ kind: 'drain', data: { on: true } });
      if (!child.granted)
        void this.#grants.toNew(child).then(
          () => this.#serves(child),
          // Told there; what it fails of then is that we stop, or a mistake.
          () => {},
        );
      child.granted = true;
    } else {
      this.#serves(child);
    }
  }

  #onStats(child: Child, stats: Child['stats'] & Partial<MediaToZone['stats']>): void {
    const before = this.#load();
    const { readsForm } = this.#readsForm();
    child.stats = { ...child.stats, ...stats };
    if (child.role === 'media') this.#distant?.mediaUses(child.id, stats.addresses ?? []);
    const isOther = this.#readsForm().readsForm !== readsForm;
    if (isOther) this.#tellTwin();
    if (isOther || Math.abs(this.#load() - before) >= 0.01) this.#tellSwitches();
  }

  /** A heartbeat was missed: a frozen process is ended, and its end is handled where every end is handled. */
  #onSilent(name: string): void {
    if (name === 'twin') {
      this.#twinGone('it was silent');
      return;
    }
    const child = this.#children.get(name);
    if (child === undefined) return;
    this.#options.log.warn({ child: name, pid: child.process.pid }, 'child.silent');
    this.#options.ender.end(child.process);
  }

  // --- adoption ---------------------------------------------------------------------------------------------------

  #twinGone(why: string): void {
    const twin = this.#twin;
    if (twin === undefined || this.#stopping) return;
    this.#twin = undefined;
    this.#heartbeat.forget('twin');
    const { log, ender } = this.#options;
    log.warn({ twin: twin.channel.peer.id, why }, 'twin.gone');
    if (this.#distant !== undefined) {
      this.#distant.disconnected(twin.channel);
      this.#tellSwitches();
      return;
    }
    const adopted = this.#grants.serially(async () => {
      const supervisor = twin.processes.find((process) => process.role === 'zone');
      if (supervisor !== undefined && ender.running(supervisor) && this.#options.zone > supervisor.id) {
        await new Promise<void>((resolve) => this.#options.clock.after(COURTESY_MS, resolve));
      }
      await fence(twin.processes, ender, log);
      twin.channel.close('fenced');
      this.#tellSwitches();
      const bundles = await this.#grants.adoptZone(twin.channel.peer.id);
      log.info({ bundles }, 'twin.adopted');
    });
    adopted.catch(() => {});
  }

  async #askTwinToAdopt(channel: Channel, bundles: readonly BundleId[], to?: SwitchId): Promise<void> {
    const data = { bundles, from: this.#options.zone, ...(to === undefined ? {} : { to }) };
    await channel.request({ kind: 'adopt', data, lane: 'priority' }, GRANT_TIMEOUT_MS);
  }

  #liveSwitches(): Child[] {
    return [...this.#children.values()].filter(
      (child) => child.role === 'switch' && child.channel?.open === true,
    );
  }

  // --- what others are told ---------------------------------------------------------------------------------------

  #load(): number {
    const switches = [...this.#children.values()].filter((child) => child.role === 'switch');
    return switches.reduce((sum, child) => sum + (child.stats.load ?? 0), 0) / Math.max(1, switches.length);
  }

  #tellTwin(): void {
    const data: ZoneToZone['processes'] = { processes: this.processes(), ...this.#readsForm() };
    this.#twin?.channel.send({ kind: 'processes', data, lane: 'priority' });
  }

  #tellSwitches(): void {
    const data: ZoneToSwitch['zone'] = { load: this.#load(), twinUp: this.twinUp, ...this.#writeForm() };
    for (const child of this.#liveSwitches()) child.channel?.send({ kind: 'zone', data });
  }

  /** What every switch of this zone reads, as far as they have said; a release that says nothing reads the first form. */
  #readsForm(): { readsForm?: number } {
    const said = this.#liveSwitches().filter(({ stats }) => stats.calls !== undefined);
    return said.length === 0 ? {} : { readsForm: Math.min(...said.map(({ stats }) => stats.readsForm ?? 1)) };
  }

  /** What whoever may adopt a call of ours reads. Without a twin that is our own switches. */
  #writeForm(): { writeForm?: number } {
    const { readsForm } = this.#readsForm();
    if (readsForm === undefined) return {};
    return {
      writeForm: this.#twin === undefined ? readsForm : Math.min(readsForm, this.#twin.readsForm ?? 1),
    };
  }

  async #onControl(frame: Frame): Promise<Frame | undefined> {
    switch (frame.kind) {
      case 'status':
        return { kind: 'status', data: this.status() };
      case 'drain': {
        const { target, on } = frame.data as ControlToZone['drain'];
        return { kind: 'drain', data: await this.#drain(target, on) };
      }
      case 'restart': {
        const { target } = frame.data as ControlToZone['restart'];
        return { kind: 'restart', data: await this.#restart(target) };
      }
      default:
        return undefined;
    }
  }

  /** No new work for the target; its calls go over to others. Undone, it gets bundles of its own again. */
  async #drain(target: string, on: boolean): Promise<HandedOver> {
    const whole = target === `zone ${this.#options.zone}`;
    if (whole) this.#draining = on;
    const meant = [...this.#children.values()].filter((child) => whole || target === child.name);
    const switches = meant.filter(({ role }) => role === 'switch');
    const media = meant.filter(({ role }) => role === 'media');
    for (const child of meant) child.draining = on;
    for (const child of switches) child.channel?.send({ kind: 'drain', data: { on } });
    // Before the calls: what their adopters open goes to the twin at once.
    await Promise.all(media.map((child) => this.#drainMedia(child, on)));
    const moved = { bundles: 0, calls: 0 };
    for (const child of switches) {
      if (!on) {
        await this.#grants.toEmpty(child);
        continue;
      }
      const { bundles, calls } = await this.#handOvers.empty(child, whole);
      moved.bundles += bundles;
      moved.calls += calls;
    }
    return moved;
  }

  /** Its streams go over to the twin's media process, at the same addresses with the same keys. */
  async #drainMedia(child: Child, on: boolean): Promise<void> {
    const { clock } = this.#options;
    const untilMs = clock.nowMs() + TWIN_MEDIA_WITHIN_MS;
    let remaining = 0;
    let reason = '';
    for (;;) {
      const answer = await child.channel?.request({ kind: 'drain', data: { on } }, DRAIN_MEDIA_MS);
      ({ remaining = 0, reason = '' } = (answer?.data ?? {}) as { remaining?: number; reason?: string });
      if (!on || reason !== 'twin_away' || !this.twinUp || clock.nowMs() > untilMs) break;
      await new Promise<void>((resolve) => clock.after(ASK_AGAIN_MS, resolve));
    }
    // To another machine they go all at once, when the process ends.
    if (on && remaining > 0 && reason !== 'other_machine')
      throw new TwinlineError(
        'no_adopter',
        `${child.name} takes no new streams, but ${remaining} stay with it: ${reason}`,
      );
  }

  /** A switch is emptied first; its successor begins with bundles of its own. */
  async #restart(target: string): Promise<ControlToZone['restart']['reply']> {
    const child = this.#children.get(target);
    if (child === undefined) throw new TwinlineError('bad_target', `${target} is none of this zone`);
    if (child.role === 'switch') await this.#drain(target, true);
    const serves = new Promise<Child>((resolve) => this.#awaited.set(target, resolve));
    await child.stop();
    return { pid: (await serves).process.pid };
  }

  /** Who waits for a child to serve again, by its name. */
  readonly #awaited = new Map<string, (child: Child) => void>();

  #serves(child: Child): void {
    this.#awaited.get(child.name)?.(child);
    this.#awaited.delete(child.name);
  }

  #later(delayMs: number, action: () => void): void {
    const timer = this.#options.clock.after(delayMs, () => {
      this.#timers.delete(timer);
      if (!this.#stopping) action();
    });
    this.#timers.add(timer);
  }
}
