import { isAbsolute, relative, resolve } from 'node:path';
import { TwinlineError } from '../base/index.ts';
import type { Problem } from '../directory/index.ts';
import { type ControlClient, connectControl } from './client.ts';
import { describeStatus } from './describe-status.ts';
import { drawLadder } from './ladder.ts';
import { printable, table } from './table.ts';

/** What every command takes. */
export interface AskOptions {
  readonly data: string;
  readonly json: boolean;
}

type Say = (text: string) => void;

async function withControl<T>(options: AskOptions, use: (client: ControlClient) => Promise<T>): Promise<T> {
  const client = await connectControl(options.data);
  try {
    return await use(client);
  } finally {
    client.close();
  }
}

const sayJson = (say: Say, value: object): void => say(JSON.stringify(value));

export async function showStatus(options: AskOptions, say: Say): Promise<void> {
  const status = await withControl(options, (client) => client.ask('status', {}));
  if (options.json) sayJson(say, status);
  else say(describeStatus(status));
}

export async function showCalls(options: AskOptions, say: Say): Promise<void> {
  const { calls } = await withControl(options, (client) => client.ask('calls', {}));
  if (options.json) return sayJson(say, { calls });
  if (calls.length === 0) return say('no calls');
  say(
    table(
      ['ID', 'FROM', 'TO', 'STATE', 'ZONE', 'SWITCH', 'SINCE (UTC)'],
      calls.map((call) => [
        call.id,
        printable(call.from),
        printable(call.to),
        call.state,
        call.zone,
        call.switch,
        new Date(call.since).toISOString().slice(0, 19).replace('T', ' '),
      ]),
    ),
  );
}

export async function showCall(idText: string, options: AskOptions, say: Say): Promise<void> {
  const ladder = await withControl(options, async (client) =>
    client.ask('ladder', { call: (await callOf(client, idText)) ?? idText }),
  );
  if (ladder.entries.length === 0)
    throw new TwinlineError(
      'no_such_call',
      `no switch knows a call "${idText}": "twinline calls" lists them`,
    );
  if (options.json) return sayJson(say, ladder);
  say(`call ${ladder.call}\n\n${drawLadder(ladder.entries, process.stdout.columns ?? 120)}`);
}

const DONE = {
  kill: 'killed',
  freeze: 'frozen',
  thaw: 'thawed',
  start: 'started',
  drain: 'takes no new calls',
  undrain: 'takes new calls again',
  restart: 'was restarted',
} as const;

export async function steer(
  verb: keyof typeof DONE,
  target: string,
  options: AskOptions,
  say: Say,
): Promise<void> {
  const reply = await withControl(options, (client) => client.ask(verb, { target }));
  if (options.json) return sayJson(say, reply);
  const processes =
    'processes' in reply
      ? ` (${reply.processes.map(({ role, id, pid }) => `${role} ${id} pid ${pid}`).join(', ')})`
      : '';
  say(`${reply.target} ${DONE[verb]}${processes}${wentOver(reply)}`);
}

const wentOver = (reply: object): string =>
  'calls' in reply && typeof reply.calls === 'number' && reply.calls > 0
    ? `; ${reply.calls} ${reply.calls === 1 ? 'call went' : 'calls went'} over to others`
    : '';

/** The call goes on in that switch, with those that share its bundle. */
export async function move(idText: string, to: string, options: AskOptions, say: Say): Promise<void> {
  const moved = await withControl(options, async (client) =>
    client.ask('move', { call: (await callOf(client, idText)) ?? idText, to }),
  );
  if (options.json) return sayJson(say, moved);
  say(`${moved.target} is with switch ${to.replace(/^switch\s+/, '')}; ${moved.calls} moved`);
}

/** The call whose id begins so. Throws `ambiguous` when there are several. */
async function callOf(client: ControlClient, idText: string): Promise<string | undefined> {
  const { calls } = await client.ask('calls', {});
  const fitting = calls.filter(({ id }) => id.startsWith(idText));
  if (fitting.length > 1)
    throw new TwinlineError(
      'ambiguous',
      `${fitting.length} calls begin with "${idText}": give more of the id`,
    );
  return fitting[0]?.id;
}

export async function giveBack(home: string, alone: boolean, options: AskOptions, say: Say): Promise<void> {
  const reply = await withControl(options, (client) => client.ask('return', { home, alone }));
  if (options.json) return sayJson(say, reply);
  say(
    reply.changed
      ? `data centre ${reply.home} serves its users again; calls that are up end where they are`
      : `data centre ${reply.home} serves its users already: nothing was changed`,
  );
}

export async function apply(file: string, options: AskOptions, say: Say): Promise<void> {
  const reply = await withControl(options, (client) => client.ask('apply', { path: resolve(file) }));
  if ('problems' in reply) throw problemsError(reply.problems, options, say);
  if (options.json) return sayJson(say, reply);
  const what = `account ${reply.account}: ${reply.users} users, ${reply.devices} devices`;
  say(
    reply.changed
      ? `${what}, now snapshot ${reply.number}`
      : `${what}, unchanged since snapshot ${reply.number}`,
  );
}

/** Works without an installation. A file that lists zones or data centres is a topology. */
export async function check(
  path: string,
  options: AskOptions & { readonly topology?: string },
  say: Say,
): Promise<void> {
  const { readAccountConfig } = await import('../directory/index.ts');
  const { readTopologies } = await import('./topology.ts');
  if (await isTopology(path)) {
    const topology = await readTopologies(path);
    if (!topology.ok) throw problemsError(topology.error, options, say);
    const edges = topology.value.flatMap((one) => one.edges).length;
    const zones = topology.value.flatMap((one) => one.zones).length;
    const dataCentres = topology.value.length;
    if (options.json) return sayJson(say, { ok: true, problems: [], edges, zones, dataCentres });
    const several = dataCentres > 1 ? `${dataCentres} data centres, ` : '';
    return say(`${path}: no mistakes; ${several}${edges} edges, ${zones} zones`);
  }
  const topology = options.topology === undefined ? undefined : await readTopologies(options.topology);
  if (topology?.ok === false) throw problemsError(topology.error, options, say);
  const read = await readAccountConfig(path, topology?.value[0]?.places);
  if (!read.ok) throw problemsError(read.error, options, say);
  const { account, sites, users, devices } = read.value;
  if (options.json)
    return sayJson(say, {
      ok: true,
      problems: [],
      account,
      sites: sites.length,
      users: users.length,
      devices: devices.length,
    });
  say(
    `${path}: no mistakes; account ${account}, ${sites.length} sites, ${users.length} users, ${devices.length} devices`,
  );
}

async function isTopology(path: string): Promise<boolean> {
  const { readFile } = await import('node:fs/promises');
  const text = await readFile(path, 'utf8').catch(() => '');
  return /^(zones|data-centres):/m.test(text);
}

/** With `--json` the problems are the object on stdout as well; the exit code is 1 either way. */
function problemsError(problems: readonly Problem[], options: AskOptions, say: Say): TwinlineError {
  if (options.json) sayJson(say, { ok: false, problems });
  const lines = problems.map(({ file, line, message }) => {
    const shown = isAbsolute(file) && !relative('.', file).startsWith('..') ? relative('.', file) : file;
    return line > 0 ? `${shown}:${line}: ${message}` : `${shown}: ${message}`;
  });
  return new TwinlineError('config_invalid', lines.join('\n'));
}
