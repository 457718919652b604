/**
 * Registrations and digest challenges: who sent a request, and where a user's phones can be reached. Knows messages and the state,
 * not sockets; calls are none of its business.
 */
export {};
