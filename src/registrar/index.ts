/**
 * Registrations and digest challenges: who sent a request, and where a user's phones can be reached. Knows messages and the state,
 * not sockets; calls are none of its business.
 */
export type { Authentication, Credentials } from './authenticate.ts';
export { bindingsOf, countRegistrations } from './bindings.ts';
export { type Challenge, challenger } from './challenge.ts';
export { type RegisterInput, type RegisterOutcome, register } from './register.ts';
export { Registrar, type RegistrarOptions } from './registrar.ts';
