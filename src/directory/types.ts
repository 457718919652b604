import type { AccountId, DeviceId, UserId } from '../base/index.ts';

/** What the control plane compiled for one account: immutable, numbered. A call keeps the number it began with. */
export interface DirectorySnapshot {
  readonly v: 1;
  readonly account: AccountId;
  readonly number: number;
  /** SIP domains of the account, lower case, the first is the main one. */
  readonly domains: readonly string[];
  /** PH-ZONE-14: its phones register and call in this region alone. */
  readonly regionLock?: string;
  readonly sites: readonly Site[];
  readonly users: readonly User[];
  readonly devices: readonly Device[];
}

export interface Site {
  readonly id: string;
  readonly name: string;
  /** Dialled before a short extension from another site (PH-NUM-08). */
  readonly code: string;
  /** PH-SEC-05: a device's offer without SRTP gets 488. */
  readonly requireMediaEncryption: boolean;
  /** PH-SEC-04: devices that are able get 256-bit suites. */
  readonly prefer256: boolean;
  /** PH-SEC-07. Absent: allowed. */
  readonly endToEnd?: EndToEndPolicy;
  /** What its users' calls hear on hold (PH-CALL-05): a file among the assets, or `none`. Absent: the music that ships with us. */
  readonly holdMusic?: string;
  /** A user may have another. */
  readonly personalHoldMusic?: true;
  /** PH-ZONE-13: a zone of the pair that its phones connect to. Absent: the topology's first data centre. */
  readonly zone?: string;
}

/** `required`: between two clients that have it a call without it is refused, where the other's site demands it too. */
export type EndToEndPolicy = 'refused' | 'allowed' | 'required';

export interface User {
  readonly id: UserId;
  readonly siteId: string;
  readonly extension: string;
  readonly displayName: string;
  /** PH-CALL-07. */
  readonly ring: { readonly mode: 'all' | 'in-order'; readonly maxWaitSec: number };
  /** As the site's; heard where the site allows it. */
  readonly holdMusic?: string;
}

/** A SIP credential and what the phones that use it can do. Several phones may register with one (PH-DEVICE-08). */
export interface Device {
  readonly id: DeviceId;
  readonly userId: UserId;
  /** The digest user name. */
  readonly sipUser: string;
  readonly domain: string;
  /** H(user:realm:password) in hex, one per algorithm (RFC 7616); the password itself is never kept. */
  readonly ha1: { readonly md5?: string; readonly sha256?: string };
  /** What a challenge offers, in order. Some phones give up when they see SHA-256 at all. */
  readonly digestAlgorithms: readonly ('MD5' | 'SHA-256')[];
  readonly mediaProfile: MediaProfileName;
  readonly maxBindings: number;
}

/** Order of SRTP suites (architecture, Media). `plain`: the device has no SRTP. */
export type MediaProfileName = 'app' | 'browser' | 'desk-128' | 'desk-256' | 'trunk' | 'plain';

/** One registered contact (RFC 3261 §10, RFC 5626). Lives in the state under `registration`. */
export interface Binding {
  readonly v: 1;
  readonly account: AccountId;
  readonly userId: UserId;
  readonly deviceId: DeviceId;
  /** The Contact URI as registered; a byte string. Its host is never resolved. */
  readonly contact: string;
  /** How to reach it. */
  readonly flow: import('../link/index.ts').Flow;
  readonly path: readonly string[];
  /** `+sip.instance` and `reg-id`, where the phone has them. */
  readonly instanceId?: string;
  readonly regId?: number;
  /** Its Contact says that the client can encrypt end to end. */
  readonly endToEnd?: true;
  readonly q: number;
  readonly callId: string;
  readonly cseq: number;
  readonly userAgent: string;
  readonly registeredUtcMs: number;
  readonly expiresUtcMs: number;
}
