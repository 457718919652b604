import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** Where `package.json`, `config` and `sip-zones` lie: two levels above `dist/cli` and `src/cli` alike. */
export const packageRoot = join(import.meta.dirname, '..', '..');

/** Sounds that come with us. */
export const shippedSounds = join(packageRoot, 'sounds');

export const defaultTopology = join(packageRoot, 'sip-zones', 'local.yaml');
export const defaultConfig = join(packageRoot, 'config', 'demo');

export function packageVersion(): string {
  return (JSON.parse(readFileSync(join(packageRoot, 'package.json'), 'utf8')) as { version: string }).version;
}

/** How the command is called here: a checkout has it under `scripts`. */
export const commandName = (): string =>
  existsSync(join(packageRoot, 'scripts', 'twinline')) ? 'scripts/twinline' : 'twinline';
