import { isIPv6 } from 'node:net';
import { resolve } from 'node:path';
import type { AccountSummary } from '../control/index.ts';
import type { Plan } from './plan.ts';

const USERS_SHOWN = 40;

/** What a newcomer reads when everything is up: where to register, as whom, who can call whom, what to try next. */
export function banner(options: {
  readonly plan: Plan;
  readonly accounts: readonly AccountSummary[];
  readonly version: string;
  readonly command: string;
}): string {
  const { plan, accounts, version, command } = options;
  const zones = plan.zones.map(({ id }) => id).join(' and ');
  const edges = plan.edges.map(({ id }) => id).join(' and ');
  const lines = [`Twinline ${version}: zones ${zones} behind ${edges}, data in ${plan.data}`, ''];

  if (plan.dataCentre !== undefined) {
    const { dataCentre, secondary } = plan.dataCentre;
    lines.push(
      `Data centre ${dataCentre}; its secondary is ${secondary}, where phones go when this one is lost`,
      '',
    );
  }
  lines.push('Register phones at');
  for (const { listeners } of plan.edges)
    for (const { transport, address, port, advertise } of listeners) {
      const host = advertise ?? address;
      const where = `${isIPv6(host) ? `[${host}]` : host}:${port}`;
      const isWeb = transport === 'ws' || transport === 'wss';
      lines.push(`  ${transport.toUpperCase().padEnd(4)} ${isWeb ? `${transport}://${where}` : where}`);
    }

  for (const account of accounts) lines.push('', ...accountLines(account, accounts.length === 1));
  const data = plan.data === resolve('data') ? '' : ` --data ${plan.data}`;
  lines.push('', 'Next: call from one phone to another, and while you talk');
  lines.push(`  ${command} calls${data}`);
  lines.push(`  ${command} kill zone ${plan.zones[0]?.id}${data}`);
  return lines.join('\n');
}

function accountLines(account: AccountSummary, isOnly: boolean): string[] {
  const { domains, sites, demoPasswords } = account;
  const users = sites.flatMap((site) => site.users);
  const plainNames = users.every(({ extension, sipUsers }) => sipUsers.join() === extension);
  const domain = `domain ${domains[0]}${isOnly ? ' or the address itself' : ''}`;
  const name = plainNames ? 'user name = extension' : 'user name as configured';
  const password = demoPasswords ? ', password demo-<extension>' : '';
  const lines = [`Account ${account.account}: ${domain}, ${name}${password}`];
  let left = USERS_SHOWN;
  for (const site of sites) {
    const shown = site.users.slice(0, Math.max(0, left));
    left -= shown.length;
    const names = shown.map((user) => `${user.extension} ${user.name}`);
    const more = site.users.length - shown.length;
    if (more > 0) names.push(`and ${more} more`);
    lines.push(`  ${site.name} (code ${site.code}): ${names.join(', ')}`);
  }
  const [here, there] = [sites[0], sites.findLast(({ users: some }) => some.length > 0)];
  if (here !== undefined && there !== undefined && there.id !== here.id && here.users[1] !== undefined) {
    const far = there.users[0]!;
    lines.push(
      `Everybody can call everybody: inside a site dial the extension (${here.users[1].extension}), to another site its code and the extension (${there.code}${far.extension} from ${here.name})`,
    );
  } else {
    lines.push('Everybody can call everybody by extension');
  }
  return lines;
}

export function passwordLines(
  passwords: readonly { readonly sipUser: string; readonly password: string }[],
): string {
  return [
    'The demo’s passwords are refused where other machines can reach this server. These replace them and are shown this once:',
    ...passwords.map(({ sipUser, password }) => `  ${sipUser.padEnd(12)} ${password}`),
    '',
  ].join('\n');
}
