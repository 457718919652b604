import { createHmac } from 'node:crypto';
import type { AccountId, Random } from '../base/index.ts';
import type { Device, Directories, DirectoryIndex, User } from '../directory/index.ts';
import type { SipHeader, SipRequest } from '../sip/index.ts';
import type { Lockouts } from './lockout.ts';

export interface Credentials {
  readonly index: DirectoryIndex;
  readonly device: Device;
  readonly user: User;
}

/**
 * What the digest credentials of a request show. Every kind but `verified` is answered with `status` and `headers`; the answers are alike
 * for names that exist and names that do not.
 */
export type Authentication =
  | ({ readonly kind: 'verified' } & Credentials)
  | {
      /**
       * `challenge`: none were given for us. `stale`: right, but the nonce is old. `wrong`: the password or the name. `locked`: too many
       * wrong ones from there (PH-EDGE-11). `malformed`: they cannot be read.
       */
      readonly kind: 'challenge' | 'stale' | 'wrong' | 'locked' | 'malformed';
      readonly status: 401 | 407 | 403 | 400;
      readonly headers: readonly SipHeader[];
    };

export interface AuthenticateContext {
  readonly directories: Directories;
  /** The address that the request came from. */
  readonly source: string;
  readonly as: 'registrar' | 'proxy';
  readonly pairSecret: Uint8Array;
  readonly random: Random;
  readonly utcMs: number;
  readonly lockouts: Lockouts;
}

export async function authenticate(
  _request: SipRequest,
  _context: AuthenticateContext,
): Promise<Authentication> {
  throw new Error('being written');
}

void createHmac;

export type { AccountId };
