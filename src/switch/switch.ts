import {
  type AccountId,
  type BundleId,
  type CallId,
  type Clock,
  type EdgeId,
  type FlowId,
  type Logger,
  type MediaId,
  newCallId,
  type Random,
  type SwitchId,
  type Timer,
  type Tokens,
  TwinlineError,
  untilBeat,
  type ZoneId,
} from '../base/index.ts';
import { summaryOf } from '../call/index.ts';
import {
  type DirectorySnapshot,
  type DirectoryWatch,
  type ServingHere,
  type ServingWatch,
  servingRefusal,
} from '../directory/index.ts';
import type {
  CallSummary,
  Channel,
  ControlToSwitch,
  Flow,
  Frame,
  HandedOver,
  SwitchToZone,
  ZoneToChild,
  ZoneToSwitch,
} from '../link/index.ts';
import {
  callIdOf,
  parseMessage,
  type SipMessage,
  type SipRequest,
  validateRequest,
  validateResponse,
} from '../sip/index.ts';
import type { Sealer, StatePort } from '../state/index.ts';
import { Bundles } from './bundles.ts';
import { CallTraces } from './call-traces.ts';
import { CallTable } from './calls.ts';
import { CallCarrier } from './carry-out.ts';
import { Edges } from './edges.ts';
import { Ladders } from './ladder.ts';
import { LoadMeter, type ZoneCapacity } from './load.ts';
import { LostStreams } from './lost-streams.ts';
import { MediaLinks } from './media-links.ts';
import { Ownership } from './ownership.ts';
import { reachable } from './reachable.ts';
import { type NewWork, Requests, type RequestsOptions } from './requests.ts';
import type { RunningCall } from './running-call.ts';
import { NEWEST_FORM, OLDEST_FORM } from './stored-call.ts';
import { stampVia } from './via.ts';
import { type Trunk, waysTo } from './ways.ts';

/** How often load and figures are told, and our own pace is watched. */
const TICK_MS = 500;
/** A loop that stood still for longer may have lost its bundles meanwhile: it asks before it says another word. */
const OWN_JUMP_MS = 1_000;
/** Longer than letting go and adopting take together. */
const MIGRATE_TIMEOUT_MS = 12_000;

export interface CallSwitchOptions {
  readonly id: SwitchId;
  readonly zone: ZoneId;
  /** How many switches share the zone's capacity. */
  readonly switchesInZone: number;
  readonly capacity: ZoneCapacity;
  readonly preferredMedia: MediaId;
  readonly clock: Clock;
  readonly random: Random;
  readonly state: StatePort;
  readonly sealer: Sealer;
  readonly tokens: Tokens;
  /** Signs the nonces of challenges, so that either zone can check them. */
  readonly pairSecret: Uint8Array;
  readonly directories: DirectoryWatch;
  readonly serverName: string;
  /** How long an established call waits for a phone that no connection leads to; absent: 60 s. */
  readonly keepLostPhoneMs?: number;
  /** False: running calls are not written, and die with this switch: for measuring what writing costs. */
  readonly checkpoints?: boolean;
  readonly log: Logger;
  /** Where there are several data centres: whose users are served here, and for how long a phone is registered. */
  readonly serving?: ServingHere & {
    readonly watch: ServingWatch;
    readonly registrationSec: number;
    /** The ways to other data centres. */
    readonly trunks: readonly Trunk[];
  };
  /** The newest form of stored calls that this release reads; an older one in tests of an upgrade. */
  readonly readsForm?: number;
  /** CPU and memory of this process, for the supervisor. */
  readonly usage?: () => { cpuPercent: number; rssKib: number };
}

/**
 * A call switch: registrar and back-to-back user agent between edges, media and state. It owns the calls of its bundles and
 * nothing else; whatever it knows beyond them another switch finds in the state.
 */
export class CallSwitch {
  readonly #options: CallSwitchOptions;
  readonly #bundles = new Bundles();
  readonly #ladders: Ladders;
  readonly #load: LoadMeter;
  readonly #edges: Edges;
  readonly #media: MediaLinks;
  readonly #calls: CallTable;
  readonly #lostStreams: LostStreams;
  readonly #requests: Requests;
  readonly #ownership: Ownership;
  #zone: Channel | undefined;
  #draining = false;
  #toldLoad = 0;
  /** Of stored calls, see `NEWEST_FORM`. */
  #form = OLDEST_FORM;
  /** The whole zone's load as the supervisor last said, and ours at that moment. */
  #zoneLoad: { load: number; own: number } | undefined;
  #tickDueMs = 0;
  #timer: Timer | undefined;
  readonly #stopHearing: (() => void) | undefined;
  #snapshots = new Map<string, DirectorySnapshot>();

  constructor(options: CallSwitchOptions) {
    this.#options = options;
    const { id, zone, clock, random, state, sealer, tokens, serverName, log } = options;
    if (options.checkpoints === false)
      log.warn(
        { switch: id },
        'switch.calls-are-not-kept: they die with it ("checkpoints: no" in the topology)',
      );
    this.#ladders = new Ladders(id);
    this.#load = new LoadMeter(clock, options.capacity, options.switchesInZone);
    this.#edges = new Edges({
      zone,
      switch: id,
      log,
      owns: () => this.#bundles.all(),
      handlers: {
        message: (flow, bundle, bytes) => this.#onMessage(flow, bundle, bytes),
        flowClosed: (flow) => this.#onFlowClosed(flow),
        stale: (bundle) => this.#ownership.stale(bundle),
        edge: (edge, up) => this.#onEdge(edge, up),
      },
    });
    this.#media = new MediaLinks({
      preferred: options.preferredMedia,
      switch: id,
      clock,
      log,
      onEvent: (event, media) => {
        this.#calls.onMediaEvent(event, media);
        // What its twin did not have in hand is nobody's.
        if (event.type === 'adopted') this.#lostStreams.look();
      },
      onCameOrWent: () => this.#lostStreams.look(),
    });
    const carrier = new CallCarrier({
      clock,
      edges: this.#edges,
      media: this.#media,
      state,
      ladders: this.#ladders,
      log,
      bindingsOf: async (account, user) =>
        reachable(await this.#requests.registrar.bindingsOf(account, user), this.#edges.gone),
      elsewhere: (account, user) =>
        options.serving === undefined
          ? []
          : waysTo(options.serving, options.directories.directories.account(account), user),
      handle: (running, event) => this.#calls.handle(running, event),
      opened: (running, stream, media) => this.#calls.streamOpened(running, stream, media),
      confirmed: () => this.#ownership.doubt,
      stillOwned: ({ bundle }, epoch) => this.#bundles.owns(bundle, epoch),
    });
    // Where another data centre takes over nobody is left to complete the records.
    const traces = options.serving && new CallTraces({ state, clock, log });
    this.#calls = new CallTable(
      {
        clock,
        random,
        state,
        sealer,
        tokens,
        bundles: this.#bundles,
        serverName,
        ...(options.checkpoints === false && { checkpoints: false }),
        ...(options.keepLostPhoneMs !== undefined && { keepLostPhoneMs: options.keepLostPhoneMs }),
        mediaCapabilities: () => this.#media.capabilities,
        log,
        readsForm: options.readsForm ?? NEWEST_FORM,
        form: () => this.#form,
        unwritten: () => this.#ownership.confirmedAnew,
        snapshot: (account, number) => this.#snapshot(account, number),
        onOver: (running) => this.#onOver(running),
        onForgotten: (running) => this.#onForgotten(running),
        onStepped: traces && ((running) => traces.stepped(running)),
        onKept: traces && ((running) => traces.kept(running)),
      },
      carrier,
    );
    this.#lostStreams = new LostStreams({ clock, log, media: this.#media, calls: this.#calls });
    this.#stopHearing = state.onRestored?.(() => void this.#calls.writeAgain());
    this.#ownership = new Ownership({
      id,
      clock,
      state,
      directories: options.directories,
      log,
      bundles: this.#bundles,
      edges: this.#edges,
      media: this.#media,
      calls: this.#calls,
      secretsInState: sealer.inState,
      onAdopted: () => this.#load.calls++,
      onChanged: () => {
        this.#tellLoad();
        this.#tellStats();
      },
    });
    this.#requests = new Requests({
      clock,
      random,
      state,
      pairSecret: options.pairSecret,
      directories: options.directories,
      serverName,
      log,
      ...servingOptions(options.serving),
      answer: (flow, text, remote) => {
        this.#edges.send(flow, text, remote === undefined ? {} : { remote });
      },
    });
    this.#tickLater();
  }

  get callCount(): number {
    return this.#calls.size;
  }

  acceptEdge(channel: Channel): void {
    this.#edges.accept(channel);
  }

  acceptMedia(channel: Channel): void {
    this.#media.accept(channel);
  }

  /** The supervisor: it grants bundles and asks whether we live. */
  acceptZone(channel: Channel): void {
    this.#zone = channel;
    this.#tellStats();
    channel.onFrame(async (frame): Promise<Frame | undefined> => {
      switch (frame.kind) {
        case 'ping':
          return { kind: 'ping', data: {} };
        case 'grant': {
          const calls = await this.#ownership.granted((frame.data as ZoneToSwitch['grant']).bundles);
          return { kind: 'grant', data: { calls } };
        }
        case 'drain':
          this.#draining = (frame.data as ZoneToSwitch['drain']).on;
          this.#tellLoad();
          return undefined;
        case 'term':
          this.#ownership.term((frame.data as ZoneToChild['term']).untilMs);
          return undefined;
        case 'let-go':
          return {
            kind: 'let-go',
            data: await this.#ownership.handOver.letGo((frame.data as ZoneToSwitch['let-go']).bundles),
          };
        case 'gone-over':
          this.#ownership.handOver.goneOver((frame.data as ZoneToSwitch['gone-over']).bundles);
          this.#tellStats();
          return { kind: 'gone-over', data: {} };
        case 'zone':
          this.#onZone(frame.data as ZoneToSwitch['zone']);
          return undefined;
        default:
          return undefined;
      }
    });
  }

  /** Control asks what an operator wants to know. */
  acceptControl(channel: Channel): void {
    channel.onFrame(async (frame): Promise<Frame | undefined> => {
      switch (frame.kind) {
        case 'calls':
          return { kind: 'calls', data: { calls: this.#summaries() } };
        case 'ladder': {
          const { call } = frame.data as ControlToSwitch['ladder'];
          return { kind: 'ladder', data: { entries: this.#ladders.of(call) } };
        }
        case 'hangup': {
          const { call, commandId, actor } = frame.data as ControlToSwitch['hangup'];
          const running = this.#calls.get(call);
          if (running !== undefined) await this.#calls.handle(running, { type: 'hangup', commandId, actor });
          return { kind: 'hangup', data: { applied: running !== undefined } };
        }
        case 'migrate': {
          const { call, to } = frame.data as ControlToSwitch['migrate'];
          return { kind: 'migrate', data: await this.migrate(call, to) };
        }
        default:
          return undefined;
      }
    });
  }

  /**
   * Brings a call, with its bundle, to another switch of either zone: whoever joins two calls needs them in one place. Resolves with what
   * moved, undefined when the call is not here; rejects with `not_migrated`.
   */
  async migrate(call: CallId, to: SwitchId): Promise<HandedOver | undefined> {
    const running = this.#calls.get(call);
    if (running === undefined || running.over) return undefined;
    const data = { bundle: running.bundle, to };
    const answer = await this.#zone?.request({ kind: 'migrate', data, lane: 'priority' }, MIGRATE_TIMEOUT_MS);
    if (answer === undefined) throw new TwinlineError('not_migrated', 'the zone’s supervisor is away');
    return answer.data as HandedOver;
  }

  stop(): void {
    this.#timer?.cancel();
    this.#lostStreams.stop();
    this.#stopHearing?.();
  }

  // --- messages -------------------------------------------------------------------------------------------------------

  async #onMessage(flow: Flow, bundle: BundleId | undefined, bytes: Uint8Array): Promise<void> {
    const parsed = parseMessage(bytes);
    if (!parsed.ok) {
      this.#requests.refuseMalformed(parsed, flow);
      return;
    }
    const unsound =
      parsed.message.kind === 'request' ? validateRequest(parsed.message) : validateResponse(parsed.message);
    if (unsound !== undefined) {
      this.#requests.refuseMalformed(unsound, flow);
      return;
    }
    const message = parsed.message.kind === 'request' ? stampVia(parsed.message, flow) : parsed.message;
    if (bundle !== undefined) {
      const leaving = this.#bundles.leaving(bundle);
      // Not acknowledged until the bundle is with its next owner: that is how the edge knows to pass the message there.
      if (leaving !== undefined) {
        await leaving;
        if (this.#bundles.epochOf(bundle) === undefined) return;
      }
      if (this.#bundles.epochOf(bundle) === undefined) {
        // On its way to us while the bundle went to another.
        this.#edges.giveBack(flow, bundle, bytes);
        return;
      }
      await this.#bundles.ready(bundle);
    }
    const running = this.#calls.find(message);
    if (running !== undefined) {
      const leaving = this.#bundles.leaving(running.bundle);
      if (leaving !== undefined) {
        await leaving;
        return this.#onMessage(flow, running.bundle, bytes);
      }
      this.#capture(running, message, flow, bytes);
      await this.#calls.handle(running, { type: 'message', message, flow });
      return;
    }
    if (message.kind === 'response') return;
    const went =
      bundle === undefined ? this.#ownership.handOver.wentWith(callIdOf(message) ?? '') : undefined;
    if (went !== undefined) {
      await this.#bundles.leaving(went);
      this.#edges.giveBack(flow, went, bytes);
      return;
    }
    const work = await this.#requests.handle(message, flow);
    if (work !== undefined) await this.#begin(message, flow, work, bytes);
  }

  async #begin(invite: SipRequest, flow: Flow, work: NewWork, bytes: Uint8Array): Promise<void> {
    // While the caller was being authenticated the same INVITE may have come again.
    const meanwhile = this.#calls.find(invite);
    if (meanwhile !== undefined) {
      await this.#calls.handle(meanwhile, { type: 'message', message: invite, flow });
      return;
    }
    const bundle = this.#bundles.forNewCall();
    if (bundle === undefined) {
      this.#requests.refuse(invite, flow, 503, { retryAfterSec: 2 });
      return;
    }
    this.#remember(work.snapshot);
    this.#load.newCall();
    const { running, written } = this.#calls.begin(
      {
        id: newCallId(this.#options.random),
        invite,
        flow,
        caller: work.caller,
        callerDevice: work.device,
        ...(work.from && { from: work.from }),
      },
      bundle,
      work.snapshot,
    );
    this.#capture(running, invite, flow, bytes);
    const { sessionId } = running.call ?? {};
    this.#options.log.info(
      { call: running.id, sessionId, from: work.caller.extension, bundle },
      'call.began',
    );
    await written;
  }

  #capture(running: RunningCall, message: SipMessage, flow: Flow, bytes: Uint8Array): void {
    const callId = callIdOf(message);
    this.#ladders.capture(running, {
      utcMs: this.#options.clock.utcMs(),
      leg: running.call?.legs.find((leg) => leg.sipCallId === callId)?.id ?? '',
      direction: 'in',
      peer: `${flow.remote.address}:${flow.remote.port}`,
      transport: flow.transport,
      text: Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1'),
    });
  }

  async #onFlowClosed(flow: FlowId): Promise<void> {
    // First the calls: by the registration over this flow they know the phone's other one.
    for (const running of this.#calls.all()) void this.#calls.handle(running, { type: 'flow-closed', flow });
    await this.#requests.flowClosed(flow);
  }

  #onEdge(edge: EdgeId, up: boolean): void {
    for (const running of this.#calls.all()) void this.#calls.handle(running, { type: 'edge', edge, up });
  }

  // --- the end of calls -----------------------------------------------------------------------------------------------

  #onOver({ id, call }: RunningCall): void {
    this.#load.callEnded();
    this.#ladders.ended(id);
    const { sessionId, end, adoptions } = call ?? {};
    this.#options.log.info(
      { call: id, sessionId, outcome: end?.outcome, status: end?.status, by: end?.by, adoptions },
      // Without an end it goes on with another owner.
      end === undefined ? 'call.let_go' : 'call.ended',
    );
  }

  #onForgotten(running: RunningCall): void {
    if (this.#bundles.count(running.bundle, -1)) this.#ownership.giveUp(running.bundle);
  }

  // --- pace and figures -----------------------------------------------------------------------------------------------

  #tick(): void {
    const stoodStillMs = this.#options.clock.nowMs() - this.#tickDueMs;
    this.#load.late(stoodStillMs);
    if (stoodStillMs > OWN_JUMP_MS) {
      this.#options.log.warn({ stoodStillMs: Math.round(stoodStillMs) }, 'switch.own_loop_stood_still');
      this.#ownership.confirm();
    }
    // Calls that were adopted or begun since the edge went.
    for (const edge of this.#edges.gone) this.#onEdge(edge, false);
    const load = this.#loadOfZone();
    if (Math.abs(load - this.#toldLoad) >= 0.01) this.#tellLoad();
    // Each time, so that the supervisor need not ask whether we live.
    this.#tellStats();
    this.#tickLater();
  }

  #tickLater(): void {
    const { clock } = this.#options;
    const delayMs = untilBeat(clock, TICK_MS);
    this.#tickDueMs = clock.nowMs() + delayMs;
    this.#timer = clock.after(delayMs, () => this.#tick());
  }

  /** What the supervisor said, moved on by what happened here since. */
  #loadOfZone(): number {
    const own = this.#load.load;
    if (this.#zoneLoad === undefined) return own;
    return Math.max(0, this.#zoneLoad.load + (own - this.#zoneLoad.own) / this.#options.switchesInZone);
  }

  #tellLoad(): void {
    this.#toldLoad = this.#loadOfZone();
    this.#edges.tellLoad(this.#toldLoad, this.#draining || !this.#bundles.takesCalls);
  }

  #onZone({ load, writeForm = OLDEST_FORM }: ZoneToSwitch['zone']): void {
    this.#zoneLoad = { load, own: this.#load.load };
    const before = this.#form;
    this.#form = Math.min(writeForm, this.#options.readsForm ?? NEWEST_FORM);
    // An older release has come into the pair: what it could not read is written anew.
    if (this.#form < before) void this.#calls.writeAgain();
  }

  #tellStats(): void {
    const data: SwitchToZone['stats'] = {
      readsForm: this.#options.readsForm ?? NEWEST_FORM,
      calls: this.#calls.live,
      callsPerSecond: this.#load.callsPerSecond,
      load: this.#load.load,
      bundles: this.#bundles.all().map(({ bundle }) => bundle),
      ...(this.#options.usage?.() ?? { cpuPercent: 0, rssKib: 0 }),
    };
    this.#zone?.send({ kind: 'stats', data });
  }

  #summaries(): CallSummary[] {
    const { zone, id } = this.#options;
    return [...this.#calls.all()].flatMap(({ call, over }) =>
      call === undefined || over ? [] : [{ ...summaryOf(call), zone, switch: id }],
    );
  }

  // --- directory ------------------------------------------------------------------------------------------------------

  #remember(snapshot: DirectorySnapshot): void {
    this.#snapshots.set(`${snapshot.account} ${snapshot.number}`, snapshot);
    // Calls outlive few changes of the directory; the oldest kept ones go first.
    if (this.#snapshots.size > 64) this.#snapshots.delete(this.#snapshots.keys().next().value!);
  }

  #snapshot(account: AccountId, number: number | undefined): DirectorySnapshot | undefined {
    return (
      this.#snapshots.get(`${account} ${number}`) ??
      this.#options.directories.directories.account(account)?.snapshot
    );
  }
}

function servingOptions(
  serving: CallSwitchOptions['serving'],
): Pick<RequestsOptions, 'maxExpiresSec' | 'notServed'> {
  if (serving === undefined) return {};
  const { watch, registrationSec } = serving;
  return {
    maxExpiresSec: registrationSec,
    notServed: (index, user) => servingRefusal(serving, index, user, watch.serving),
  };
}
