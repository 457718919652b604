import {
  type AccountId,
  type BundleId,
  type CallId,
  type DeviceId,
  type EdgeId,
  type FlowId,
  type Random,
  type StreamId,
  seededRandom,
  Tokens,
  type UserId,
} from '../../src/base/index.ts';
import {
  beginCall,
  type Call,
  type CallCommand,
  type CallContext,
  type CallEvent,
  type CallRecord,
  callStates,
  readTrunkCall,
  type Step,
  situationsOf,
  step,
  type TrunkWay,
} from '../../src/call/index.ts';
import type { Binding, DirectorySnapshot, MediaProfileName, Site, User } from '../../src/directory/index.ts';
import type { Flow, TransportName } from '../../src/link/index.ts';
import {
  capabilitiesFor,
  type MediaCapability,
  type SrtpKey,
  type StreamReport,
  type StreamSpec,
} from '../../src/media/index.ts';
import { KEY_SALT_LENGTH } from '../../src/sdp/index.ts';
import { parseMessage, toBytes, validateRequest, validateResponse } from '../../src/sip/index.ts';
import { ScriptedPhone } from './scripted-phone.ts';

export interface PersonOptions {
  readonly extension: string;
  readonly site?: string;
  readonly profile?: MediaProfileName;
  readonly transport?: TransportName;
  /** Its Contact is below `.invalid`, as browsers' are. */
  readonly browser?: boolean;
  readonly ring?: User['ring'];
  readonly holdMusic?: string;
  /** Its phones can encrypt end to end, and say so in their Contacts; a number: only so many of them, the first ones. */
  readonly endToEnd?: boolean | number;
  /** How many phones the person has registered. */
  readonly phones?: number;
  /** They are all at one address and name no instance, as a phone that was started anew on another port. */
  readonly nameless?: boolean;
  /** The person has no phone here: a phone for each of these stands for what is behind the trunk to it. */
  readonly dataCentres?: readonly string[];
}

export interface CallFlowOptions {
  readonly people?: Record<string, PersonOptions>;
  readonly regionLock?: string;
  readonly sites?: Partial<Record<string, Partial<Omit<Site, 'id'>>>>;
  /** After every step the owner dies: its commands are carried out again, then the call is told that it was adopted. */
  readonly adoptAfterEachStep?: boolean;
  /** Sees what a switch would store after each step. */
  readonly onStep?: (call: Call, commands: readonly CallCommand[]) => void;
  readonly seed?: number;
}

/** Of the two certificates of the pretended media process. */
const certificates = ['5A', '5B'].map((octet) => ({
  hash: 'sha-256' as const,
  value: Array(32).fill(octet).join(':'),
}));
export const OUR_FINGERPRINT = certificates[0]!;

const EDGE = 'edge1' as EdgeId;
const BUNDLE = 'bundle0000' as BundleId;

/**
 * One call around `step` on virtual time: scripted phones, a media process that only says which port it opened, registrations. Every step's
 * call is JSON there and back and frozen, so that nothing else survives a step and no step changes what it was given.
 */
export class CallFlow {
  nowMs = 1_000_000;
  readonly utcEpochMs = Date.UTC(2026, 0, 1);
  call: Call | undefined;
  wakeAtMs: number | undefined;
  readonly records: CallRecord[] = [];
  readonly streams = new Map<StreamId, StreamSpec>();
  readonly closedStreams: StreamId[] = [];
  /** TR-MEDIA-09: which stream sends under a key; no other ever does. */
  readonly #senderOf = new Map<string, StreamId>();
  /** Set to refuse streams as a media process without ports does. */
  mediaFails: string | undefined;
  /** Set to keep `media-closed` from coming, as when the media process died with the figures. */
  reportsLost = false;
  /** What media reports of streams besides counts. */
  figures: (stream: StreamId) => Partial<StreamReport> = () => ({});
  /** Set for a media process without a certificate. */
  withoutDtls = false;
  /** What media can do; undefined: everything. Without `given-keys` it has keys of its own for each stream. */
  mediaCapabilities: readonly MediaCapability[] | undefined;
  /** Between which codecs media transcodes. */
  transcodes: readonly string[] | undefined;
  /** Set while media is slow: streams open only with `releaseMedia`, and a close before that finds nothing. */
  holdMedia = false;
  readonly #held: CallCommand[] = [];
  /** Streams that no media process knows any more, and ports that others have taken since. */
  readonly #lost = new Set<StreamId>();
  readonly takenPorts = new Set<number>();
  readonly #deadEdges = new Set<string>();
  /** Set while what is sent gets lost, as in a process that died with it. */
  losing = false;
  readonly snapshot: DirectorySnapshot;
  readonly phones = new Map<string, ScriptedPhone>();
  readonly states = new Set<string>();
  /** Of the table of adoptions, what the call was in the middle of after some step. */
  readonly situations = new Set<string>();
  steps = 0;
  largestCallBytes = 0;
  readonly #bindings: Binding[] = [];
  readonly #elsewhere = new Map<string, TrunkWay[]>();
  readonly #random: Random;
  readonly #adopt: boolean;
  readonly #onStep: CallFlowOptions['onStep'];
  readonly #token: string;
  #queue: { readonly event: CallEvent; readonly byAdoption: boolean }[] = [];
  #running = false;

  constructor(options: CallFlowOptions = {}) {
    this.#random = seededRandom(options.seed ?? 7);
    this.#adopt = options.adoptAfterEachStep ?? false;
    this.#onStep = options.onStep;
    this.#token = new Tokens(new Uint8Array(32)).mint(BUNDLE);
    const people = options.people ?? { alice: { extension: '1001' }, bob: { extension: '1002' } };
    const { regionLock } = options;
    this.snapshot = {
      ...snapshotOf(people, options.sites ?? {}),
      ...(regionLock !== undefined && { regionLock }),
    };
    for (const [name, person] of Object.entries(people)) this.#register(name, person);
  }

  phone(name: string): ScriptedPhone {
    const phone = this.phones.get(name);
    if (phone === undefined) throw new Error(`nobody here is called ${name}`);
    return phone;
  }

  /** Removes a person's registrations, or puts one on another flow. */
  forget(name: string): void {
    const { flow } = this.phone(name);
    const at = this.#bindings.findIndex((binding) => binding.flow.id === flow.id);
    if (at >= 0) this.#bindings.splice(at, 1);
  }

  /** The phone connects from elsewhere; `registered`: and registers there. */
  moves(name: string, address: string, registered: boolean): void {
    const phone = this.phone(name);
    const before = phone.flow;
    const at = this.#bindings.findIndex((binding) => binding.flow.id === before.id);
    phone.flow = {
      ...before,
      id: `${before.id}-moved` as FlowId,
      remote: { address, port: before.remote.port + 1 },
    };
    if (registered && at >= 0) this.#bindings[at] = { ...this.#bindings[at]!, flow: phone.flow };
  }

  /** The phone opens a second flow, to another edge, and registers over it too: `reg-id=2`. */
  opensFlow(name: string, edge: string): Flow {
    const phone = this.phone(name);
    const registered = this.#bindings.find(({ flow }) => flow.id === phone.flow.id)!;
    const flow = flowAt(edge, phone.flow);
    phone.otherFlows.push(flow);
    this.#bindings.push({ ...registered, flow, regId: 2, registeredUtcMs: registered.registeredUtcMs - 1 });
    return flow;
  }

  /** A phone with one flow only comes back over another edge: its registration now names that flow. */
  registersAt(name: string, edge: string): void {
    const phone = this.phone(name);
    const at = this.#bindings.findIndex(({ flow }) => flow.id === phone.flow.id);
    phone.flow = flowAt(edge, phone.flow);
    const registeredUtcMs = this.utcEpochMs + this.nowMs;
    this.#bindings[at] = { ...this.#bindings[at]!, flow: phone.flow, registeredUtcMs };
  }

  /** An edge ends, and nothing is sent over it any more, or is there again. */
  edge(edge: string, up: boolean): void {
    if (up) this.#deadEdges.delete(edge);
    else this.#deadEdges.add(edge);
    this.feed({ type: 'edge', edge: edge as EdgeId, up });
  }

  /** Its flows lose everything from now on, and nobody tells. */
  goesDeaf(edge: string): void {
    this.#deadEdges.add(edge);
  }

  releaseMedia(): void {
    this.holdMedia = false;
    for (const put of this.#held.splice(0)) {
      if (put.type === 'media-put') this.#put(put, (event) => this.#queue.push({ event, byAdoption: false }));
    }
    this.#run();
  }

  /** A text from a phone reaches the switch. */
  deliver(text: string, flow: Flow): void {
    const parsed = parseMessage(toBytes(text));
    if (!parsed.ok) throw new Error(`a phone said nonsense: ${parsed.reason}`);
    this.feed({ type: 'message', message: parsed.message, flow });
  }

  feed(event: CallEvent): void {
    this.#queue.push({ event, byAdoption: false });
    this.#run();
  }

  /** Moves time forward, waking the call whenever it wants to be. */
  advance(ms: number): void {
    const end = this.nowMs + ms;
    for (let guard = 0; this.wakeAtMs !== undefined && this.wakeAtMs <= end; guard++) {
      if (guard > 10_000) throw new Error(`the call wakes for ever at ${this.wakeAtMs}`);
      this.nowMs = Math.max(this.nowMs, this.wakeAtMs);
      const asked = this.wakeAtMs;
      this.feed({ type: 'wake' });
      if (this.wakeAtMs !== undefined && this.wakeAtMs <= asked && this.wakeAtMs <= this.nowMs) {
        throw new Error(`a wake at ${asked} left the call asking for the same`);
      }
    }
    this.nowMs = end;
  }

  /** Until nothing of the call is left. */
  runOut(limitMs = 10 * 60_000): void {
    const end = this.nowMs + limitMs;
    while (this.call !== undefined && this.wakeAtMs !== undefined && this.wakeAtMs <= end) {
      this.advance(Math.max(0, this.wakeAtMs - this.nowMs));
    }
  }

  context(): CallContext {
    return {
      nowMs: this.nowMs,
      utcMs: this.utcEpochMs + this.nowMs,
      random: this.#random,
      snapshot: this.snapshot,
      token: this.#token,
      serverName: 'Twinline',
      ...(this.mediaCapabilities && { mediaCapabilities: this.mediaCapabilities }),
    };
  }

  get token(): string {
    return this.#token;
  }

  get record(): CallRecord {
    const [record] = this.records;
    if (record === undefined) throw new Error('there is no record yet');
    return record;
  }

  #run(): void {
    if (this.#running) return;
    this.#running = true;
    for (let item = this.#queue.shift(); item !== undefined; item = this.#queue.shift()) {
      const made = this.#step(item.event);
      if (made === undefined) continue;
      this.#carryOut(made.commands, item.byAdoption);
      if (!this.#adopt || item.byAdoption) continue;
      this.#carryOut(made.commands, true);
      this.#queue.unshift({ event: { type: 'adopted' }, byAdoption: true });
    }
    this.#running = false;
  }

  #step(event: CallEvent): Step<Call> | undefined {
    const ctx = this.context();
    if (this.call === undefined) {
      if (event.type !== 'message' || event.message.kind !== 'request') return undefined;
      if (event.message.method !== 'INVITE' || this.steps > 0) return undefined;
      const caller = [...this.phones.values()].find(({ flow }) => flow.id === event.flow.id);
      const user = this.snapshot.users.find(({ extension }) => extension === caller?.extension);
      const device = this.snapshot.devices.find(({ userId }) => userId === user?.id);
      if (user === undefined || device === undefined) throw new Error('a stranger calls');
      const id = 'call000000000001' as CallId;
      const { dataCentre } = event.flow;
      const from = dataCentre === undefined ? undefined : readTrunkCall(event.message);
      const call = { id, invite: event.message, flow: event.flow, caller: user, callerDevice: device };
      return this.#keep(
        beginCall(from === undefined ? call : { ...call, from: { dataCentre: dataCentre!, ...from } }, ctx),
      );
    }
    return this.#keep(step(this.call, event, ctx));
  }

  #keep(made: Step<Call>): Step<Call> {
    this.steps++;
    if (made.call !== undefined) this.#onStep?.(made.call, made.commands);
    const text = made.call === undefined ? undefined : JSON.stringify(made.call);
    this.largestCallBytes = Math.max(this.largestCallBytes, text?.length ?? 0);
    this.call = text === undefined ? undefined : frozen(JSON.parse(text) as Call);
    if (this.call !== undefined) {
      if (!callStates.includes(this.call.state)) throw new Error(`no such state: ${this.call.state}`);
      this.states.add(this.call.state);
      for (const situation of situationsOf(this.call)) this.situations.add(situation);
    }
    this.wakeAtMs = made.wakeAtMs;
    return { ...made, commands: JSON.parse(JSON.stringify(made.commands)) as CallCommand[] };
  }

  #carryOut(commands: readonly CallCommand[], byAdoption: boolean): void {
    const answer = (event: CallEvent): void => {
      this.#queue.push({ event, byAdoption });
    };
    for (const command of commands) {
      switch (command.type) {
        case 'send':
          this.#send(command);
          break;
        case 'find-bindings':
          answer({
            type: 'bindings',
            user: command.user,
            bindings: this.#bindings.filter(({ userId }) => userId === command.user),
            elsewhere: this.#elsewhere.get(command.user) ?? [],
          });
          break;
        case 'media-put':
          this.#put(command, answer);
          break;
        case 'media-close':
          this.#close(command.streams, answer);
          break;
        case 'record':
          if (!this.records.some(({ id }) => id === command.record.id)) this.records.push(command.record);
          break;
      }
    }
  }

  #send(command: CallCommand & { type: 'send' }): void {
    checkSent(command.text, command.flow, [...this.phones.values()]);
    if (this.losing || this.#deadEdges.has(command.flow.edge)) return;
    for (const phone of this.phones.values()) {
      if (![phone.flow, ...phone.otherFlows].some(({ id }) => id === command.flow.id)) continue;
      phone.heardOver = command.flow.id;
      phone.hear(command.text, command.remote);
    }
  }

  /** Both media processes end and are there again: what they knew is gone. */
  loseMedia(): void {
    for (const stream of this.streams.keys())
      if (!this.closedStreams.includes(stream)) this.#lost.add(stream);
    this.feed({ type: 'media-lost', streams: [...this.#lost] });
  }

  portOf(stream: StreamId): number {
    return 20_000 + 2 * [...this.streams.keys()].indexOf(stream);
  }

  #put(put: CallCommand & { type: 'media-put' }, answer: (event: CallEvent) => void): void {
    const { stream, opened } = put;
    if (this.#lost.has(stream.id)) {
      const keyed = [stream.sendKey, stream.receiveKey, stream.dtls].some((one) => one !== undefined);
      if (opened === undefined) throw new Error('a lost stream is put as if it had never been');
      if (keyed || this.takenPorts.has(opened.port)) {
        answer({ type: 'media-failed', stream: stream.id, code: 'unknown_stream' });
        return;
      }
      this.#lost.delete(stream.id);
    }
    if (this.mediaFails !== undefined) {
      answer({ type: 'media-failed', stream: stream.id, code: this.mediaFails });
      return;
    }
    if (this.holdMedia) {
      this.#held.push(put);
      return;
    }
    if (this.closedStreams.includes(stream.id)) throw new Error('a closed stream was opened again');
    const key = stream.sendKey?.keySalt;
    if (key !== undefined) {
      if ((this.#senderOf.get(key) ?? stream.id) !== stream.id)
        throw new Error('a key goes over to another stream');
      this.#senderOf.set(key, stream.id);
    }
    const lacking = capabilitiesFor(stream).find((one) => this.mediaCapabilities?.includes(one) === false);
    if (lacking !== undefined) throw new Error(`media is asked for ${lacking}, which it does not have`);
    const sendKeys = this.#keysMadeFor(stream.id);
    if (key !== undefined && sendKeys?.every(({ keySalt }) => keySalt !== key))
      throw new Error('media is to send under a key that it has not made');
    this.streams.set(stream.id, stream);
    const port = this.portOf(stream.id);
    answer({
      type: 'media-opened',
      opened: {
        stream: stream.id,
        media: 'a' as never,
        address: '198.51.100.9',
        port,
        rtcpPort: port + 1,
        ...(this.transcodes === undefined ? {} : { transcodes: this.transcodes }),
        ...(sendKeys && { sendKeys }),
        ...(this.withoutDtls || this.mediaCapabilities?.includes('dtls') === false
          ? {}
          : { fingerprint: certificates[(stream.dtls?.association ?? 0) % 2]! }),
      },
    });
  }

  #keysMadeFor(stream: StreamId): SrtpKey[] | undefined {
    if (this.mediaCapabilities?.includes('given-keys') ?? true) return undefined;
    return Object.entries(KEY_SALT_LENGTH).map(([suite, octets]) => ({
      suite: suite as SrtpKey['suite'],
      keySalt: Buffer.alloc(octets, `${stream}${suite}`).toString('base64'),
    }));
  }

  #close(streams: readonly StreamId[], answer: (event: CallEvent) => void): void {
    const known = streams.filter(
      (stream) => this.streams.has(stream) && !this.closedStreams.includes(stream),
    );
    this.closedStreams.push(...known);
    if (this.reportsLost) return;
    answer({
      type: 'media-closed',
      reports: known.map((stream) => ({
        stream,
        packetsReceived: 50,
        packetsSent: 50,
        octetsReceived: 8000,
        octetsSent: 8000,
        packetsLost: 0,
        jitterMs: 1,
        packetsRefused: { auth: 0, replay: 0, stranger: 0, malformed: 0, unmapped: 0 },
        takenOver: 0,
        ...this.figures(stream),
      })),
    });
  }

  #register(name: string, person: PersonOptions): void {
    const { extension, transport = 'udp', phones = 1, nameless = false, browser = false } = person;
    if (person.dataCentres !== undefined) {
      this.#standsElsewhere(name, extension, person.dataCentres);
      return;
    }
    const first = this.phones.size + 1;
    const encrypting = person.endToEnd === true ? phones : Number(person.endToEnd ?? 0);
    for (let at = 0; at < phones; at++) {
      const phoneName = at === 0 ? name : `${name}${at + 1}`;
      const index = this.phones.size + 1;
      const address = `192.0.2.${nameless ? first : index}`;
      const flow: Flow = {
        id: `u:edge1:0:${address}:${5060 + index}` as FlowId,
        edge: EDGE,
        transport,
        local: { address: '198.51.100.1', port: transport === 'tls' ? 5061 : 5060 },
        remote: { address, port: 5060 + index },
      };
      const phone = new ScriptedPhone({
        name: phoneName,
        extension,
        flow,
        isBrowser: browser,
        say: (text, from) => this.deliver(text, from),
        ...(at < encrypting ? { features: ';+g.twinline.e2ee' } : {}),
      });
      this.phones.set(phoneName, phone);
      this.#bindings.push({
        v: 1,
        account: 'acme' as AccountId,
        userId: `user-${name}` as UserId,
        deviceId: `device-${name}` as DeviceId,
        contact: nameless ? `sip:${extension}@${address}:${flow.remote.port}` : phone.contactUri,
        flow,
        path: [],
        ...(nameless ? {} : { instanceId: `<urn:uuid:${phoneName}>` }),
        ...(at < encrypting ? { endToEnd: true } : {}),
        q: 1 - at / 10,
        callId: `register-${phoneName}`,
        cseq: 1,
        userAgent: 'scripted',
        registeredUtcMs: this.utcEpochMs + (nameless ? this.nowMs : 0),
        expiresUtcMs: this.utcEpochMs + 86_400_000,
      });
    }
  }

  #standsElsewhere(name: string, extension: string, dataCentres: readonly string[]): void {
    const ways = dataCentres.map((dataCentre, at): TrunkWay => {
      const address = `203.0.113.${10 + this.phones.size}`;
      const flow: Flow = {
        id: `i:${dataCentre}` as FlowId,
        edge: EDGE,
        transport: 'tls',
        local: { address: '198.51.100.1', port: 5091 },
        remote: { address, port: 5091 },
        dataCentre,
      };
      const phoneName = at === 0 ? name : `${name}${at + 1}`;
      const say = (text: string, from: Flow): void => this.deliver(text, from);
      this.phones.set(phoneName, new ScriptedPhone({ name: phoneName, extension, flow, say }));
      return { dataCentre, region: regionOf(dataCentre), flow };
    });
    this.#elsewhere.set(`user-${name}`, ways);
  }
}

/** Whose region is told apart by its name: `ams.eu`. */
const regionOf = (dataCentre: string): string => dataCentre.split('.')[1] ?? 'eu';

/** The same phone's flow to another edge. */
const flowAt = (edge: string, flow: Flow): Flow => ({
  ...flow,
  id: `${flow.id}-${edge}` as FlowId,
  edge: edge as EdgeId,
  local: { address: '198.51.100.2', port: flow.local.port },
});

function snapshotOf(
  people: Record<string, PersonOptions>,
  sites: NonNullable<CallFlowOptions['sites']>,
): DirectorySnapshot {
  const names = new Set(['north', ...Object.values(people).map(({ site }) => site ?? 'north')]);
  const entries = Object.entries(people);
  return {
    v: 1,
    account: 'acme' as AccountId,
    number: 3,
    domains: ['acme.example'],
    sites: [...names].map((name, at) => ({
      id: name,
      name,
      code: String(80 + at),
      requireMediaEncryption: false,
      prefer256: false,
      ...sites[name],
    })),
    users: entries.map(([name, { extension, site = 'north', ring, holdMusic }]) => ({
      id: `user-${name}` as UserId,
      siteId: site,
      extension,
      displayName: name.slice(0, 1).toUpperCase() + name.slice(1),
      ring: ring ?? { mode: 'all', maxWaitSec: 30 },
      ...(holdMusic === undefined ? {} : { holdMusic }),
    })),
    devices: entries.map(([name, { extension, profile = 'plain' }]) => ({
      id: `device-${name}` as DeviceId,
      userId: `user-${name}` as UserId,
      sipUser: extension,
      domain: 'acme.example',
      ha1: {},
      digestAlgorithms: ['MD5'],
      mediaProfile: profile,
      maxBindings: 5,
    })),
  };
}

/** What holds for every message that leaves us: valid SIP, routed by our token, and nothing of another phone's network in it. */
function checkSent(text: string, flow: Flow, phones: readonly ScriptedPhone[]): void {
  const parsed = parseMessage(toBytes(text));
  if (!parsed.ok) throw new Error(`we sent nonsense: ${parsed.reason}\n${text}`);
  const { message } = parsed;
  const problem = message.kind === 'request' ? validateRequest(message) : validateResponse(message);
  if (problem !== undefined) throw new Error(`we sent what is not valid: ${problem.reason}\n${text}`);
  for (const phone of phones) {
    if ([phone.flow, ...phone.otherFlows].some(({ id }) => id === flow.id)) continue;
    if (text.includes(phone.address) && phone.address !== flow.remote.address) {
      throw new Error(`the address of ${phone.name} leaks to another leg:\n${text}`);
    }
  }
}

function frozen<T>(value: T): T {
  if (typeof value === 'object' && value !== null) {
    for (const part of Object.values(value)) frozen(part);
    Object.freeze(value);
  }
  return value;
}
