/**
 * The command line: the launcher that starts an installation and the commands that ask a running one. Composes all rooms; each process
 * loads only what its own part needs.
 */
export {};
