import type { AccountId, Clock, Logger } from '../base/index.ts';
import type { StatePort } from '../state/index.ts';
import type { DirectoryIndex } from './lookup.ts';
import { homeOfUser, type Places, regionOf } from './places.ts';
import type { User } from './types.ts';

/** Owner of what concerns data centres as wholes. Configuration files cannot name an account so. */
const DATA_CENTRES = '_data-centres' as AccountId;

/**
 * Which data centre serves the users of `home`, in force until a higher number says otherwise (PH-ZONE-12). Each data centre keeps the terms
 * of its own users and of those for whom it is the secondary.
 */
export interface Term {
  readonly v: 1;
  readonly home: string;
  readonly serving: string;
  readonly number: number;
  readonly sinceUtcMs: number;
  /**
   * `first`: nobody else ever served. `lost`: the secondary took over. `returned`: an operator said so. `kept`: the home was cut off from its
   * secondary, which took over, but never from its phones. `unsure`: the home was away and does not know yet whether it was taken over.
   */
  readonly why: 'first' | 'lost' | 'returned' | 'kept' | 'unsure';
}

export async function termsOf(state: Pick<StatePort, 'list'>): Promise<Term[]> {
  return (await state.list<Term>(DATA_CENTRES, 'directory', 'term/')).map(({ value }) => value);
}

export async function putTerm(state: Pick<StatePort, 'commit'>, term: Term): Promise<void> {
  const key = { account: DATA_CENTRES, kind: 'directory', id: `term/${term.home}` } as const;
  await state.commit([{ op: 'put', key, value: term }], { durability: 'durable' });
}

/** When control of this data centre was last seen alive; 0: never. */
export async function lastAlive(state: Pick<StatePort, 'get'>): Promise<number> {
  return (await state.get<{ utcMs: number }>(ALIVE))?.value.utcMs ?? 0;
}

export async function putAlive(state: Pick<StatePort, 'commit'>, utcMs: number): Promise<void> {
  await state.commit([{ op: 'put', key: ALIVE, value: { v: 1, utcMs } }], { durability: 'volatile' });
}

const ALIVE = { account: DATA_CENTRES, kind: 'directory', id: 'alive' } as const;

/** Of two terms of one home the one that counts. At the same number the home does: it is certain only when an operator, or both, say so. */
export function newerTerm(one: Term, other: Term): Term {
  if (one.number !== other.number) return one.number > other.number ? one : other;
  return other.serving === other.home ? other : one;
}

/** What a switch knows of the data centre that it runs in. */
export interface ServingHere {
  readonly places: Places;
  readonly dataCentre: string;
  /** Phones are told to ask again after it. */
  readonly retryAfterSec: number;
}

export interface ServingRefusal {
  readonly status: 403 | 503;
  readonly reason: string;
  readonly retryAfterSec?: number;
}

/**
 * Whether a REGISTER or a new INVITE of this user is refused here: for good, since the account is locked to another region (PH-ZONE-14), or for
 * now, since another data centre serves (PH-ZONE-12). `serving` names who serves a home; undefined where that is not known here.
 */
export function servingRefusal(
  here: ServingHere,
  index: DirectoryIndex,
  user: User,
  serving: (home: string) => string | undefined,
): ServingRefusal | undefined {
  const { places, dataCentre, retryAfterSec } = here;
  const lock = index.snapshot.regionLock;
  if (lock !== undefined && lock !== regionOf(places, dataCentre))
    return { status: 403, reason: `The account is locked to region ${lock}` };
  const home = homeOfUser(places, index, user);
  const serves = serving(home) ?? home;
  if (serves === dataCentre) return undefined;
  return { status: 503, reason: `Data centre ${serves} serves this user`, retryAfterSec };
}

export interface ServingWatch {
  /** Who serves the users of that home, as far as this data centre knows. */
  readonly serving: (home: string) => string | undefined;
  close(): void;
}

/** Follows the terms in the state: read once when it resolves, then every `pollMs`. What was read last stays. */
export async function watchServing(
  state: Pick<StatePort, 'list'>,
  options: { readonly clock: Clock; readonly log: Logger; readonly pollMs?: number },
): Promise<ServingWatch> {
  const { clock, log, pollMs = 1000 } = options;
  let terms = new Map<string, string>();
  let closed = false;
  const look = async (): Promise<void> => {
    const read = await termsOf(state);
    // A term is never taken away: nothing found is state that cannot be read just now.
    if (read.length > 0) terms = new Map(read.map(({ home, serving }) => [home, serving]));
  };
  const poll = (): void => {
    look()
      .catch((error: unknown) => log.warn({ error: String(error) }, 'serving.not_read'))
      .finally(() => {
        if (!closed) timer = clock.after(pollMs, poll);
      });
  };
  await look();
  let timer = clock.after(pollMs, poll);
  return {
    serving: (home) => terms.get(home),
    close() {
      closed = true;
      timer.cancel();
    },
  };
}
