import { createHash } from 'node:crypto';
import { type Clock, type Logger, type Random, type Timer, TwinlineError } from '../base/index.ts';
import {
  type Binding,
  type Directories,
  type DirectorySnapshot,
  homeOfUser,
  lastAlive,
  type Places,
  putAlive,
  putTerm,
  type Term,
  takeSnapshot,
  termsOf,
} from '../directory/index.ts';
import type { Channel, Frame, Peer } from '../link/index.ts';
import type { StatePort } from '../state/index.ts';
import { type DataCentrePeer, linkDataCentres } from './dc-links.ts';
import { type DataCentresStatus, type Heads, type Meeting, readMeeting } from './dc-meeting.ts';
import { SnapshotReceiver, sendSnapshot } from './dc-snapshots.ts';
import { recordLostCalls } from './lost-calls.ts';
import {
  termAtStart,
  termReturned,
  termWhenDeserted,
  termWhenHomeHears,
  termWhenLost,
  termWhenSecondaryHears,
  unmetTerm,
} from './terms.ts';

/** How often the data centres say what they hold. */
const MEET_EVERY_MS = 1000;
const ANSWER_MS = 3000;
/** How exact the end of calls is known that die with the data centre. */
const ALIVE_EVERY_MS = 10_000;
/** One that was never heard of since our start may be starting too. */
const NEVER_MET_GRACE_MS = 60_000;
/** A loop of ours that stood still has heard nobody meanwhile, which says nothing about them. */
const OWN_JUMP_MS = 5000;
/** Phones that registered so shortly before or after a gap do not show on which side of it they were. */
const MARGIN_MS = 3000;

export interface DataCentreOptions {
  readonly dataCentre: string;
  readonly secondary: string;
  readonly places: Places;
  readonly meet: { readonly address: string; readonly port: number };
  readonly peers: readonly DataCentrePeer[];
  readonly certificates: string;
  readonly registrationSec: number;
  readonly lostAfterSec: number;
}

export interface DataCentresContext {
  readonly self: Peer;
  readonly state: StatePort;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly directories: () => Directories;
  /** A directory of another data centre counts from now on. */
  readonly onDirectory: () => Promise<void>;
  /** Zones of ours ran while control was away. */
  readonly uninterrupted: boolean;
}

interface PeerSeen {
  heardMs: number;
  heardUtcMs: number;
  met: boolean;
  asking: boolean;
  heads: Heads;
  sending: boolean;
}

/**
 * Keeps, for the users of this data centre and of those whose secondary it is, who serves them; and the directory the same in all that
 * meet. The switches read the outcome in the state, so that calls do not wait for any of this.
 */
export class DataCentres {
  readonly #options: DataCentreOptions;
  readonly #context: DataCentresContext;
  readonly #terms = new Map<string, Term>();
  readonly #seen = new Map<string, PeerSeen>();
  readonly #receiver = new SnapshotReceiver();
  #channelOf: (peer: string) => Channel | undefined = () => undefined;
  #closeLinks: () => Promise<void> = async () => {};
  /** One decision after the other. */
  #work: Promise<void> = Promise.resolve();
  #timer: Timer | undefined;
  #lastTickMs: number;
  #saidAliveMs = Number.NEGATIVE_INFINITY;
  /** Since when we have not heard of our secondary, and whether phones were here then. */
  #outOfSight: { readonly fromUtcMs: number; readonly hadPhones: boolean; looked: boolean } | undefined;
  /** Of which take-over users have come here. */
  readonly #guests = new Map<string, number>();
  #headsOf = new WeakMap<DirectorySnapshot, string>();

  static async start(options: DataCentreOptions, context: DataCentresContext): Promise<DataCentres> {
    const one = new DataCentres(options, context);
    await one.#begin();
    return one;
  }

  private constructor(options: DataCentreOptions, context: DataCentresContext) {
    this.#options = options;
    this.#context = context;
    this.#lastTickMs = context.clock.nowMs();
    for (const { id } of options.peers)
      this.#seen.set(id, {
        heardMs: context.clock.nowMs(),
        // Before we were there we heard nobody.
        heardUtcMs: context.clock.utcMs() - options.lostAfterSec * 1000,
        met: false,
        asking: false,
        heads: [],
        sending: false,
      });
  }

  async #begin(): Promise<void> {
    const { dataCentre: home, secondary, peers } = this.#options;
    const { state, clock, uninterrupted, log } = this.#context;
    for (const term of await termsOf(state)) this.#terms.set(term.home, term);
    const utcMs = clock.utcMs();
    const begun = termAtStart(this.#terms.get(home), { home, secondary, uninterrupted, utcMs });
    if (begun !== undefined) await this.#put(begun);
    if (!uninterrupted) {
      const accounts = this.#context.directories().accounts.map(({ snapshot }) => snapshot.account);
      const lastAliveUtcMs = await lastAlive(state);
      await recordLostCalls(state, accounts, { dataCentre: home, lastAliveUtcMs, log });
    }
    for (const primary of this.#primaries()) {
      if (!this.#terms.has(primary)) this.#terms.set(primary, unmetTerm(primary));
    }
    const links = await linkDataCentres({
      ...this.#options,
      peers,
      ...this.#context,
      onFrame: (peer, frame) => this.#onFrame(peer, frame),
    });
    this.#channelOf = links.channel;
    this.#closeLinks = () => links.close();
    log.info({ dataCentre: home, serving: this.#terms.get(home)?.serving }, 'dc.up');
    this.#timer = clock.after(0, () => this.#tick());
  }

  /** Data centres whose users come here when they are lost. */
  #primaries(): readonly string[] {
    const { places, dataCentre } = this.#options;
    return places.dataCentres.filter(({ secondary }) => secondary === dataCentre).map(({ id }) => id);
  }

  #keeps(home: string): boolean {
    return home === this.#options.dataCentre || this.#primaries().includes(home);
  }

  async close(): Promise<void> {
    this.#timer?.cancel();
    await this.#closeLinks();
    await this.#work.catch(() => {});
  }

  status(): DataCentresStatus {
    const { dataCentre, places, peers } = this.#options;
    const { clock } = this.#context;
    const nowMs = clock.nowMs();
    return {
      here: dataCentre,
      region: places.dataCentres.find(({ id }) => id === dataCentre)?.region ?? '',
      serving: [...this.#terms.values()]
        .filter(({ home }) => this.#keeps(home))
        .map(({ home, serving, number, sinceUtcMs, why }) => ({ home, serving, number, sinceUtcMs, why })),
      peers: peers.map(({ id }) => {
        const seen = this.#seen.get(id)!;
        const differing = this.#differing(seen.heads);
        return {
          id,
          state: this.#channelOf(id) !== undefined ? 'met' : seen.met ? 'lost' : 'never met',
          silentSec: Math.round((nowMs - seen.heardMs) / 1000),
          ...(differing.length > 0 ? { differing } : {}),
        };
      }),
    };
  }

  /** The configuration was changed here: the others are told at once. */
  announce(): void {
    for (const { id } of this.#options.peers) this.#meet(id);
  }

  /**
   * An operator gives the users of `home` back to it (PH-ZONE-12). The home itself decides, here or over the link. Rejects with a sentence
   * when the two cannot reach each other, unless it is to be done `alone`.
   */
  async giveBack(home: string, alone: boolean): Promise<{ home: string; number: number; changed: boolean }> {
    const { dataCentre, secondary, places } = this.#options;
    if (!places.dataCentres.some(({ id }) => id === home))
      throw new TwinlineError(
        'bad_target',
        `the topology has no data centre "${home}"; it has ${places.dataCentres.map(({ id }) => id).join(', ')}`,
      );
    if (home === dataCentre) return this.#giveBackHere(alone);
    if (!this.#primaries().includes(home))
      throw new TwinlineError(
        'bad_target',
        `this is data centre ${dataCentre}, which has nothing of ${home}: say it at ${home} or at its secondary`,
      );
    const channel = this.#channelOf(home);
    if (channel === undefined)
      throw new TwinlineError(
        'dc_unreachable',
        `data centre ${home} cannot be reached from ${dataCentre}, so its users stay here; nothing was changed${alone ? `; "--alone" is for ${home} itself, when ${secondary} is gone` : ''}`,
      );
    const reply = (await channel.request({ kind: 'return', data: { home } }, ANSWER_MS)).data;
    await this.#meetNow(home);
    const { number, changed } = reply as { number: number; changed: boolean };
    return { home, number, changed };
  }

  async #giveBackHere(alone: boolean): Promise<{ home: string; number: number; changed: boolean }> {
    const { dataCentre: home, secondary } = this.#options;
    const { clock, log } = this.#context;
    if (this.#channelOf(secondary) === undefined && !alone)
      throw new TwinlineError(
        'dc_unreachable',
        `data centre ${secondary} cannot be reached from ${home}, so it would serve on beside it; nothing was changed. If ${secondary} is gone for good, say "twinline return ${home} --alone"`,
      );
    let changed = false;
    await this.#inTurn(async () => {
      const present = this.#terms.get(home)!;
      if (present.serving === home) return;
      await this.#put(termReturned(present, undefined, clock.utcMs()));
      changed = true;
      log.warn({ home }, 'dc.returned');
    });
    await this.#meetNow(secondary);
    return { home, number: this.#terms.get(home)?.number ?? 0, changed };
  }

  // --- meeting ----------------------------------------------------------------------------------------------------------

  #tick(): void {
    const { clock } = this.#context;
    const nowMs = clock.nowMs();
    if (nowMs - this.#lastTickMs > OWN_JUMP_MS) for (const seen of this.#seen.values()) seen.heardMs = nowMs;
    this.#lastTickMs = nowMs;
    for (const { id } of this.#options.peers) this.#meet(id);
    void this.#inTurn(() => this.#look(nowMs));
    if (nowMs - this.#saidAliveMs >= ALIVE_EVERY_MS) {
      this.#saidAliveMs = nowMs;
      putAlive(this.#context.state, clock.utcMs()).catch(() => {});
    }
    this.#timer = clock.after(MEET_EVERY_MS, () => this.#tick());
  }

  #meet(peer: string): void {
    const seen = this.#seen.get(peer)!;
    if (seen.asking) return;
    seen.asking = true;
    this.#meetNow(peer).finally(() => {
      seen.asking = false;
    });
  }

  /** Resolves when it was tried. */
  async #meetNow(peer: string): Promise<void> {
    const channel = this.#channelOf(peer);
    if (channel === undefined) return;
    try {
      const reply = await channel.request({ kind: 'meet', data: this.#ours() }, ANSWER_MS);
      await this.#heard(peer, reply.data);
    } catch (error) {
      this.#context.log.debug({ peer, error: String(error) }, 'dc.no_answer');
    }
  }

  async #onFrame(peer: string, frame: Frame): Promise<Frame | undefined> {
    switch (frame.kind) {
      case 'meet':
        await this.#heard(peer, frame.data);
        return { kind: 'meet', data: this.#ours() };
      case 'return': {
        const { home } = (frame.data ?? {}) as { home?: unknown };
        if (home !== this.#options.dataCentre)
          throw new TwinlineError('bad_target', `this is data centre ${this.#options.dataCentre}`);
        return { kind: 'return', data: await this.#giveBackHere(false) };
      }
      case 'snapshot': {
        const snapshot = this.#receiver.receive(peer, frame);
        if (snapshot !== undefined) await this.#take(peer, snapshot);
        return { kind: 'snapshot', data: {} };
      }
      default:
        throw new TwinlineError('bad_command', 'a data centre knows no such command');
    }
  }

  #ours(): Meeting {
    const { dataCentre } = this.#options;
    return {
      v: 1,
      dataCentre,
      terms: [...this.#terms.values()],
      heads: this.#heads(),
      guests: [...this.#guests.keys()],
    };
  }

  #heard(peer: string, data: unknown): Promise<void> {
    const meeting = readMeeting(data);
    const seen = this.#seen.get(peer);
    if (meeting === undefined || seen === undefined) {
      this.#context.log.warn({ peer }, 'dc.unreadable');
      return Promise.resolve();
    }
    return this.#inTurn(async () => {
      const { clock } = this.#context;
      const gapFromUtcMs = seen.heardUtcMs;
      await this.#compare(peer, meeting, gapFromUtcMs);
      if (!seen.met) this.#context.log.info({ peer }, 'dc.heard');
      seen.met = true;
      seen.heardMs = clock.nowMs();
      seen.heardUtcMs = clock.utcMs();
      seen.heads = meeting.heads;
      this.#sendNewer(peer, seen);
    });
  }

  async #compare(peer: string, { terms, guests }: Meeting, gapFromUtcMs: number): Promise<void> {
    const { dataCentre: home, secondary } = this.#options;
    const { clock } = this.#context;
    if (peer === secondary) {
      const present = this.#terms.get(home)!;
      const heard = terms.find((term) => term.home === home);
      const tookOver = heard !== undefined && heard.number > present.number && heard.serving === secondary;
      const phonesStayed =
        tookOver &&
        present.serving === home &&
        (!guests.includes(home) || (await this.#phonesCame(home, gapFromUtcMs + MARGIN_MS)));
      await this.#putIf(termWhenHomeHears(present, heard, { secondary, phonesStayed, utcMs: clock.utcMs() }));
    }
    if (this.#primaries().includes(peer)) {
      const heard = terms.find((term) => term.home === peer);
      if (heard !== undefined) await this.#putIf(termWhenSecondaryHears(this.#terms.get(peer)!, heard));
    }
  }

  /** Whom we have not heard of for too long, and what follows. */
  async #look(nowMs: number): Promise<void> {
    const { dataCentre: home, secondary, lostAfterSec, registrationSec } = this.#options;
    const { clock, log } = this.#context;
    for (const primary of this.#primaries()) {
      await this.#lookForGuests(primary);
      const seen = this.#seen.get(primary)!;
      const silentMs = nowMs - seen.heardMs;
      if (silentMs < (seen.met ? lostAfterSec * 1000 : NEVER_MET_GRACE_MS)) continue;
      const taken = termWhenLost(this.#terms.get(primary)!, home, clock.utcMs());
      if (taken === undefined) continue;
      log.error({ dataCentre: primary, silentSec: Math.round(silentMs / 1000) }, 'dc.lost');
      await this.#put(taken);
    }
    const { met, heardMs, heardUtcMs } = this.#seen.get(secondary)!;
    const silentMs = nowMs - heardMs;
    if (!met || silentMs <= MARGIN_MS) return;
    if (this.#outOfSight?.fromUtcMs !== heardUtcMs) {
      const hadPhones = await this.#phonesCame(home, 0, heardUtcMs + MARGIN_MS);
      this.#outOfSight = { fromUtcMs: heardUtcMs, hadPhones, looked: false };
    }
    const outOfSight = this.#outOfSight;
    if (!outOfSight.hadPhones || outOfSight.looked || silentMs <= registrationSec * 1000 + 2 * MARGIN_MS)
      return;
    // Once for each loss: whoever was registered had to ask again meanwhile. Who leaves later has other reasons.
    outOfSight.looked = true;
    if (await this.#phonesCame(home, heardUtcMs + MARGIN_MS)) return;
    log.error({ dataCentre: home }, 'dc.deserted');
    await this.#putIf(termWhenDeserted(this.#terms.get(home)!, secondary, clock.utcMs()));
  }

  /** Until the first has come: a take-over to which nobody came was none. */
  async #lookForGuests(primary: string): Promise<void> {
    const { serving, number, sinceUtcMs } = this.#terms.get(primary)!;
    if (serving !== this.#options.dataCentre) this.#guests.delete(primary);
    else if (this.#guests.get(primary) !== number && (await this.#phonesCame(primary, sinceUtcMs, Infinity)))
      this.#guests.set(primary, number);
  }

  /**
   * Whether phones of that home's users registered here in that time. Those of the last seconds do not count: they may have come since the
   * way is free again.
   */
  async #phonesCame(
    home: string,
    fromUtcMs: number,
    toUtcMs = this.#context.clock.utcMs() - MARGIN_MS,
  ): Promise<boolean> {
    const { places } = this.#options;
    const { state } = this.#context;
    for (const index of this.#context.directories().accounts) {
      const stored = await state.list<Binding>(index.snapshot.account, 'registration');
      for (const { value } of stored) {
        if (value.registeredUtcMs < fromUtcMs || value.registeredUtcMs > toUtcMs) continue;
        const user = index.userById(value.userId);
        if (user !== undefined && homeOfUser(places, index, user) === home) return true;
      }
    }
    return false;
  }

  async #putIf(term: Term | undefined): Promise<void> {
    if (term !== undefined) await this.#put(term);
  }

  async #put(term: Term): Promise<void> {
    const { state, log } = this.#context;
    const { home, serving, number, why } = term;
    await putTerm(state, term);
    this.#terms.set(home, term);
    log.warn({ home, serving, number, why }, 'dc.serving');
  }

  /** Never rejects: what could not be written now is decided again a second later. */
  #inTurn(decide: () => Promise<void>): Promise<void> {
    this.#work = this.#work.then(decide).catch((error: unknown) => {
      this.#context.log.error({ error: String(error) }, 'dc.not_decided');
    });
    return this.#work;
  }

  // --- the directory ----------------------------------------------------------------------------------------------------

  #heads(): Heads {
    return this.#context.directories().accounts.map(({ snapshot }) => {
      let digest = this.#headsOf.get(snapshot);
      if (digest === undefined) {
        digest = createHash('sha256').update(JSON.stringify(snapshot)).digest('hex');
        this.#headsOf.set(snapshot, digest);
      }
      return { account: snapshot.account, number: snapshot.number, digest };
    });
  }

  /** Accounts under one number that are not the same: changed at both while they did not see each other. */
  #differing(theirs: Heads): string[] {
    return this.#heads().flatMap(({ account, number, digest }) =>
      theirs.some((one) => one.account === account && one.number === number && one.digest !== digest)
        ? [account]
        : [],
    );
  }

  #sendNewer(peer: string, seen: PeerSeen): void {
    const channel = this.#channelOf(peer);
    if (channel === undefined || seen.sending) return;
    const newer = this.#context.directories().accounts.find(({ snapshot }) => {
      const theirs = seen.heads.find(({ account }) => account === snapshot.account);
      return theirs === undefined || theirs.number < snapshot.number;
    });
    if (newer === undefined) return;
    seen.sending = true;
    const { account, number } = newer.snapshot;
    const { log } = this.#context;
    sendSnapshot(channel, newer.snapshot)
      .then(
        () => log.info({ peer, account, number }, 'dc.directory_sent'),
        (error: unknown) => log.warn({ peer, account, error: String(error) }, 'dc.directory_not_sent'),
      )
      .finally(() => {
        seen.sending = false;
      });
  }

  async #take(peer: string, snapshot: DirectorySnapshot): Promise<void> {
    const { state, log, onDirectory } = this.#context;
    if (!(await takeSnapshot(state, snapshot))) return;
    log.info({ peer, account: snapshot.account, number: snapshot.number }, 'dc.directory_taken');
    await onDirectory();
  }
}
