/**
 * The control plane: configuration into snapshots, call records into SQL, commands of people to the process that carries them out.
 * Calls go on without it.
 */
export {};
