import { newerTerm, type Term } from '../directory/index.ts';

/**
 * Who serves the users of a data centre: the decisions, without clocks and links. One rule stands above the others (PH-ZONE-12): a home
 * that lost its users to its secondary gets them back when an operator says so, and not before.
 */

/** How the home begins. `undefined`: what is stored goes on to hold. */
export function termAtStart(
  stored: Term | undefined,
  about: {
    readonly home: string;
    readonly secondary: string;
    /** Zones of ours ran while control was away: nobody lost us. */
    readonly uninterrupted: boolean;
    readonly utcMs: number;
  },
): Term | undefined {
  const { home, secondary, uninterrupted, utcMs: sinceUtcMs } = about;
  if (stored === undefined) return { v: 1, home, serving: home, number: 1, sinceUtcMs, why: 'first' };
  if (stored.serving !== home || uninterrupted) return undefined;
  // Whether we were missed only the secondary can tell. The number stays: if it says that it did not serve, we do.
  return { ...stored, serving: secondary, sinceUtcMs, why: 'unsure' };
}

/** What a secondary knows of a home before they have met. */
export const unmetTerm = (home: string): Term => ({
  v: 1,
  home,
  serving: home,
  number: 0,
  sinceUtcMs: 0,
  why: 'first',
});

/** The secondary has not heard of the home for too long. */
export function termWhenLost(present: Term, secondary: string, utcMs: number): Term | undefined {
  if (present.serving === secondary) return undefined;
  return { ...present, serving: secondary, number: present.number + 1, sinceUtcMs: utcMs, why: 'lost' };
}

/** The home was cut off from the secondary, and its phones are gone too: it will have been lost, and waits to hear so. */
export function termWhenDeserted(present: Term, secondary: string, utcMs: number): Term | undefined {
  if (present.serving !== present.home) return undefined;
  return { ...present, serving: secondary, sinceUtcMs: utcMs, why: 'unsure' };
}

/**
 * The home hears what its secondary holds. `phonesStayed`: phones of ours registered here while we did not hear of each other, or none came
 * to the secondary.
 */
export function termWhenHomeHears(
  present: Term,
  heard: Term | undefined,
  about: { readonly secondary: string; readonly phonesStayed: boolean; readonly utcMs: number },
): Term | undefined {
  const { secondary, phonesStayed, utcMs } = about;
  const secondaryServes = heard?.serving === secondary;
  const isNewer = heard !== undefined && heard.number > present.number;
  if (present.why === 'unsure' && present.serving !== present.home && !(isNewer && secondaryServes)) {
    // It did not take over; nobody serves meanwhile.
    const number = Math.max(present.number, heard?.number ?? 0);
    return { ...present, serving: present.home, number, sinceUtcMs: utcMs, why: 'kept' };
  }
  if (!isNewer) return undefined;
  if (present.serving === present.home && secondaryServes && phonesStayed)
    return { ...present, number: heard.number + 1, sinceUtcMs: utcMs, why: 'kept' };
  return heard;
}

/** The secondary hears what the home holds. */
export function termWhenSecondaryHears(present: Term, heard: Term): Term | undefined {
  // One that is unsure asks and does not say.
  if (heard.why === 'unsure') return undefined;
  const newer = newerTerm(present, heard);
  const same = newer.number === present.number && newer.serving === present.serving;
  return newer === present || same ? undefined : newer;
}

/** An operator gives the users back (PH-ZONE-12). */
export const termReturned = (present: Term, known: Term | undefined, utcMs: number): Term => ({
  v: 1,
  home: present.home,
  serving: present.home,
  number: Math.max(present.number, known?.number ?? 0) + 1,
  sinceUtcMs: utcMs,
  why: 'returned',
});
