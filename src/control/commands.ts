import type { Problem } from '../directory/index.ts';
import type { CallSummary, LadderEntry, ProcessRef, TransportName, ZoneStatus } from '../link/index.ts';
import type { DataCentresStatus } from './dc-meeting.ts';

/** What a person (the CLI, later the API) asks control. Every entry is a request on `DATA/run/control.sock`. */
export interface ControlCommands {
  status: { reply: InstallationStatus };
  calls: { reply: { calls: CallSummary[] } };
  ladder: { call: string; reply: CallLadder };
  kill: { target: string; reply: SignalledProcesses };
  freeze: { target: string; reply: SignalledProcesses };
  thaw: { target: string; reply: SignalledProcesses };
  /** Replies when it serves again. */
  start: { target: string; reply: { target: string } };
  /** Replies when its calls are with others. */
  drain: { target: string; reply: Maintained };
  undrain: { target: string; reply: Maintained };
  /** A target, or `all`. Replies when it serves again. */
  restart: { target: string; reply: Maintained };
  /** Brings a call to a switch. */
  move: { call: string; to: string; reply: Maintained };
  /** Gives a data centre its users back (PH-ZONE-12). `alone`: without its secondary, which is gone. */
  return: {
    home: string;
    alone?: boolean;
    reply: { home: string; number: number; changed: boolean; calls: number };
  };
  /** An absolute path of a file or directory. With mistakes in it nothing is applied. */
  apply: { path: string; reply: AppliedConfig | { readonly problems: readonly Problem[] } };
  /** Who there is, without any secret. */
  directory: { reply: { accounts: readonly AccountSummary[] } };
  /** Only the launcher: passwords made in place of the demo's, given once. */
  'fresh-passwords': { reply: { passwords: { sipUser: string; password: string }[] } };
}

/** What control asks the launcher, which starts what is no zone's business. */
export interface ControlToLauncher {
  start: { role: 'zone' | 'edge'; id: string; reply: { pid: number } };
}

export interface InstallationStatus {
  readonly zones: readonly ZoneState[];
  readonly edges: readonly EdgeState[];
  readonly control: { readonly pid: number; readonly rssKib: number };
  readonly calls: number;
  /** -1 while the state cannot be asked. */
  readonly registrations: number;
  /** Absent where there is but one. */
  readonly dataCentres?: DataCentresStatus;
}

/** `down`: no such process. `frozen`: stopped by a signal. `silent`: it runs and does not answer. */
export type ZoneState = Omit<ZoneStatus, 'state'> & {
  readonly state: ZoneStatus['state'] | 'down' | 'frozen' | 'silent';
  /** 0 when it is down. */
  readonly pid: number;
};

export interface EdgeState {
  readonly id: string;
  readonly state: 'up' | 'down' | 'frozen' | 'silent';
  readonly pid: number;
  readonly rssKib: number;
  readonly listeners: readonly { transport: TransportName; address: string; port: number }[];
  /** Open connections per transport. */
  readonly flows: Readonly<Partial<Record<TransportName, number>>>;
  /** Zones with a switch that takes new calls now. */
  readonly openZones: readonly string[];
}

export interface CallLadder {
  readonly call: string;
  /** In order of time, from every switch that carried the call and still runs. */
  readonly entries: readonly LadderEntry[];
}

export interface SignalledProcesses {
  readonly target: string;
  readonly processes: readonly ProcessRef[];
}

/** What was done, and how much went over to others by it. */
export interface Maintained {
  readonly target: string;
  readonly bundles: number;
  readonly calls: number;
}

export interface AppliedConfig {
  readonly account: string;
  readonly number: number;
  readonly changed: boolean;
  readonly users: number;
  readonly devices: number;
}

export interface AccountSummary {
  readonly account: string;
  readonly number: number;
  readonly domains: readonly string[];
  readonly sites: readonly {
    readonly id: string;
    readonly name: string;
    readonly code: string;
    readonly users: readonly {
      readonly extension: string;
      readonly name: string;
      readonly sipUsers: readonly string[];
    }[];
  }[];
  /** The passwords are those of the documentation. */
  readonly demoPasswords: boolean;
}
