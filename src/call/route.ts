import {
  type DirectoryIndex,
  type DirectorySnapshot,
  indexSnapshot,
  resolveDialled,
  type User,
} from '../directory/index.ts';
import { parseUri, unescapeText } from '../sip/index.ts';
import type { MediaPolicy, Party } from './model.ts';

const indexes = new WeakMap<DirectorySnapshot, DirectoryIndex>();

/** A snapshot is immutable and many calls share one, so its index is made once. */
export function indexOf(snapshot: DirectorySnapshot): DirectoryIndex {
  const known = indexes.get(snapshot);
  if (known !== undefined) return known;
  const made = indexSnapshot(snapshot);
  indexes.set(snapshot, made);
  return made;
}

const MAX_DIALLED_LENGTH = 64;

/** What was dialled: the user of the Request-URI without its escapes and parameters. Undefined for what nobody can dial. */
export function dialledOf(requestUri: string): string | undefined {
  const uri = parseUri(requestUri);
  if (uri === undefined) return undefined;
  const text =
    uri.scheme === 'tel' ? uri.number.replace(/[-.()]/g, '') : unescapeText(uri.user ?? '').split(';', 1)[0]!;
  return text === '' || text.length > MAX_DIALLED_LENGTH ? undefined : text;
}

/** The user that a dialled string means to the caller (PH-NUM-08, PH-NUM-09). */
export function calledUser(snapshot: DirectorySnapshot, caller: User, dialled: string): User | undefined {
  const meant = resolveDialled(indexOf(snapshot), caller, dialled);
  return meant.kind === 'user' ? meant.user : undefined;
}

export const partyOf = (user: User): Party => ({
  user: user.id,
  extension: user.extension,
  display: user.displayName,
});

/** What device and site ask of the media of a leg (PH-SEC-04, PH-SEC-05). */
export function mediaPolicyOf(
  snapshot: DirectorySnapshot,
  siteId: string,
  profile: MediaPolicy['profile'],
): MediaPolicy {
  const site = indexOf(snapshot).siteById(siteId);
  return {
    profile,
    prefer256: site?.prefer256 ?? false,
    encryptionRequired: site?.requireMediaEncryption ?? false,
  };
}
