/**
 * Who is who: accounts, sites, users and devices as numbered, read-only snapshots, and what a dialled string means to whom.
 * Reading configuration files and compiling snapshots is here too; who does it when is control's business.
 */
export type * from './types.ts';
