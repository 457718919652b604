/**
 * A call switch: composes registrar and call, commits each step to the state and carries it out through edges and media. It owns the
 * calls of its bundles and nothing else.
 */
export type { ZoneCapacity } from './load.ts';
export { type SwitchOptions, startSwitch } from './start.ts';
export { CallSwitch, type CallSwitchOptions } from './switch.ts';
export type { Trunk } from './ways.ts';
