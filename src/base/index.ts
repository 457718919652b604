/**
 * What every room may use: ids, time and chance as ports, results, errors that people can read, the token that binds a
 * SIP message to its bundle. Nothing here does I/O.
 */
export { encodeBase32 } from './base32.ts';
export { type Clock, type Timer, untilBeat, VirtualClock } from './clock.ts';
export { type Deferred, deferred } from './deferred.ts';
export { TwinlineError } from './errors.ts';
export * from './ids.ts';
export { type Logger, silentLogger } from './log.ts';
export { type Random, randomBelow, randomText, seededRandom } from './random.ts';
export { failed, ok, type Result, unreachable } from './result.ts';
export { TOKEN_LENGTH, Tokens } from './token.ts';
