import { join } from 'node:path';

export const zoneDirectory = (directory: string, zone: string): string => join(directory, 'state', zone);

/** What lives no longer than this boot of the machine. */
export const volatileDirectory = (directory: string, zone: string): string =>
  join(zoneDirectory(directory, zone), 'volatile');

export const bootName = (bootId: string): string => bootId.replaceAll(/[^\w-]/g, '_');

export const bootDirectory = (directory: string, zone: string, bootId: string): string =>
  join(volatileDirectory(directory, zone), bootName(bootId));

export const durableDirectory = (directory: string, zone: string): string =>
  join(zoneDirectory(directory, zone), 'durable');
