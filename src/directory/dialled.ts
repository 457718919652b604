import type { DirectoryIndex } from './lookup.ts';
import type { User } from './types.ts';

/** What a dialled string means to its caller. Grows by a kind for each later step of PH-NUM-09. */
export type Dialled = { readonly kind: 'user'; readonly user: User } | { readonly kind: 'unknown' };

/**
 * PH-NUM-08 and PH-NUM-09. The whole string must match. The order: emergency number, feature code, **extension of the caller's own
 * site, full extension (site code and extension)**, site routing rules, account routing rules or BYOP, PSTN in E.164. What stands
 * in bold exists; the rest finds its place around it.
 */
export function resolveDialled(index: DirectoryIndex, caller: User, dialled: string): Dialled {
  const user = index.userByExtension(caller.siteId, dialled) ?? userByFullExtension(index, dialled);
  return user ? { kind: 'user', user } : { kind: 'unknown' };
}

/** With codes 8 and 81, `81100` could be 8 + 1100 or 81 + 100: the longer code wins. */
function userByFullExtension(index: DirectoryIndex, dialled: string): User | undefined {
  let found: User | undefined;
  let codeLength = 0;
  for (const site of index.snapshot.sites) {
    if (site.code.length <= codeLength || !dialled.startsWith(site.code)) continue;
    const user = index.userByExtension(site.id, dialled.slice(site.code.length));
    if (user) {
      found = user;
      codeLength = site.code.length;
    }
  }
  return found;
}
