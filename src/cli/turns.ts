import type { Moderation } from '../native/index.ts';

/**
 * For processes of signalling. With 1,000 registrations a second an edge is woken some 1,500 times a second without it. What it adds to a
 * message's way, and only under load, is 2 ms at each of the three processes that it passes.
 */
export const SIGNALLING_TURNS: Moderation = { aboveTurnsPerSec: 300, periodMs: 4 };
