import type { AccountId, DeviceId, UserId } from '../base/index.ts';
import type { Device, DirectorySnapshot, Site, User } from './types.ts';

/** One snapshot with what makes looking up quick. Lives in memory only. */
export interface DirectoryIndex {
  readonly snapshot: DirectorySnapshot;
  userById(id: UserId | string): User | undefined;
  deviceById(id: DeviceId | string): Device | undefined;
  devicesOf(user: UserId | string): readonly Device[];
  siteById(id: string): Site | undefined;
  /** By the digest user name, whatever the host part was. */
  deviceBySipUser(sipUser: string): Device | undefined;
  /** By the short extension inside a site. */
  userByExtension(siteId: string, extension: string): User | undefined;
}

export function indexSnapshot(snapshot: DirectorySnapshot): DirectoryIndex {
  const users = new Map(snapshot.users.map((user) => [user.id as string, user]));
  const extensions = new Map(snapshot.users.map((user) => [`${user.siteId} ${user.extension}`, user]));
  const sites = new Map(snapshot.sites.map((site) => [site.id, site]));
  const devices = new Map(snapshot.devices.map((device) => [device.id as string, device]));
  const sipUsers = new Map(snapshot.devices.map((device) => [device.sipUser, device]));
  const devicesOf = new Map<string, Device[]>();
  for (const device of snapshot.devices) {
    const own = devicesOf.get(device.userId);
    if (own) own.push(device);
    else devicesOf.set(device.userId, [device]);
  }
  return {
    snapshot,
    userById: (id) => users.get(id),
    deviceById: (id) => devices.get(id),
    devicesOf: (user) => devicesOf.get(user) ?? [],
    siteById: (id) => sites.get(id),
    deviceBySipUser: (sipUser) => sipUsers.get(sipUser),
    userByExtension: (siteId, extension) => extensions.get(`${siteId} ${extension}`),
  };
}

/** All accounts of the installation, each in its present snapshot. */
export interface Directories {
  readonly accounts: readonly DirectoryIndex[];
  account(id: AccountId | string): DirectoryIndex | undefined;
  /**
   * Whose domain a host part is. While one account is loaded, every host part is taken as its domain: phones are commonly given the
   * server's address instead of a domain.
   */
  accountOf(host: string): DirectoryIndex | undefined;
  deviceBySipUser(
    sipUser: string,
    host: string,
  ): { index: DirectoryIndex; device: Device; user: User } | undefined;
}

export function indexDirectories(snapshots: readonly DirectorySnapshot[]): Directories {
  const accounts = snapshots.map(indexSnapshot);
  const byId = new Map(accounts.map((index) => [index.snapshot.account as string, index]));
  const byDomain = new Map(
    accounts.flatMap((index) =>
      index.snapshot.domains.map((domain): [string, DirectoryIndex] => [domain, index]),
    ),
  );
  const accountOf = (host: string): DirectoryIndex | undefined =>
    accounts.length === 1 ? accounts[0] : byDomain.get(host.toLowerCase());
  return {
    accounts,
    account: (id) => byId.get(id),
    accountOf,
    deviceBySipUser(sipUser, host) {
      const index = accountOf(host);
      const device = index?.deviceBySipUser(sipUser);
      const user = device && index?.userById(device.userId);
      return index && device && user ? { index, device, user } : undefined;
    },
  };
}
