import { type Clock, type Logger, type Random, TwinlineError } from '../base/index.ts';
import {
  type Binding,
  type DirectoryIndex,
  describeProblem,
  hasDemoPassword,
  type Places,
  watchDirectories,
} from '../directory/index.ts';
import { type Channel, type Frame, listenLink, type Peer } from '../link/index.ts';
import type { StatePort } from '../state/index.ts';
import type { AccountSummary, ControlCommands, ControlToLauncher } from './commands.ts';
import { applyConfig, configureAtStart } from './configure.ts';
import { type DataCentreOptions, DataCentres } from './data-centres.ts';
import { openDatabase } from './database.ts';
import { gatherCalls, gatherLadder, gatherStatus, type Shape } from './gather.ts';
import { startHttp } from './http.ts';
import { Links, type Peers } from './links.ts';
import { Maintenance } from './maintenance.ts';
import { joinEdgeMetrics, renderMetrics } from './metrics.ts';
import { checkHere, findProcesses, parseTarget } from './processes.ts';
import { keepRecords } from './records.ts';
import { signalTarget } from './signal.ts';

/** From spawning to serving. A zone that takes longer is still coming up; the answer says so. */
const START_WITHIN_MS = 20_000;
const LOOK_AGAIN_MS = 50;

export interface ControlOptions {
  readonly self: Peer;
  /** Where commands come in. */
  readonly socket: string;
  readonly peers: Peers;
  readonly shape: Shape;
  readonly databaseFile: string;
  /** The door of those who watch. */
  readonly http: { readonly address: string; readonly port: number };
  /** Loaded into an empty installation. */
  readonly configPath: string;
  /** Nobody but this machine reaches the listeners: the demo's passwords may stay. */
  readonly loopbackOnly: boolean;
  /** The zones and regions that a configuration may name. */
  readonly places?: Places;
  /** Absent where there is but one. */
  readonly dataCentre?: DataCentreOptions;
  readonly state: StatePort;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

export interface Control {
  stop(): Promise<void>;
}

/**
 * Starts the control plane in this process. Resolves when the directory is in the state and commands are served; the database may still be
 * catching up. Rejects with `config_invalid` and the first mistakes of an unusable configuration.
 */
export async function startControl(options: ControlOptions): Promise<Control> {
  const { state, clock, random, log, self, shape, loopbackOnly, places } = options;
  const configured = await configureAtStart(state, options);
  if (!configured.ok)
    throw new TwinlineError('config_invalid', configured.error.map(describeProblem).join('\n'));
  let { passwords } = configured.value;
  const watch = await watchDirectories(state, { clock, log });
  const links = new Links(options.peers, { self, clock, random, log });
  const keeping = keepDatabase(options, () =>
    watch.directories.accounts.map(({ snapshot }) => snapshot.account),
  );

  const countRegistrations = async (): Promise<number> => {
    const utcMs = clock.utcMs();
    const accounts = watch.directories.accounts.map(({ snapshot }) => snapshot.account);
    const lists = await Promise.all(accounts.map((account) => state.list<Binding>(account, 'registration')));
    return lists.flat().filter(({ value }) => value.expiresUtcMs > utcMs).length;
  };
  const dataCentres =
    options.dataCentre &&
    (await DataCentres.start(options.dataCentre, {
      ...{ self, state, clock, random, log },
      directories: () => watch.directories,
      onDirectory: () => watch.refresh(),
      uninterrupted: findProcesses(shape.planFile).some(({ role }) => role === 'zone'),
    }));
  const status = async () => ({
    ...(await gatherStatus(shape, links, countRegistrations)),
    ...(dataCentres === undefined ? {} : { dataCentres: dataCentres.status() }),
  });

  const start = async (targetText: string): Promise<{ target: string }> => {
    const target = parseTarget(targetText, shape.zones, shape.edges);
    checkHere(target, shape.zones, shape.elsewhere);
    const name = `${target.role} ${target.id}`;
    if (target.role !== 'zone' && target.role !== 'edge')
      throw new TwinlineError('starts_itself', `${name} is started again by itself when it ends`);
    const { role, id } = target;
    await links.ask<ControlToLauncher['start']['reply']>(
      'launcher',
      'launcher',
      'start',
      { role, id },
      START_WITHIN_MS,
    );
    const untilMs = clock.nowMs() + START_WITHIN_MS;
    for (;;) {
      const now = await status();
      const serves =
        role === 'edge'
          ? now.edges.some((edge) => edge.id === id && edge.state === 'up')
          : now.zones.some((zone) => zone.id === id && (zone.state === 'up' || zone.state === 'draining')) &&
            now.edges.every((edge) => edge.state !== 'up' || edge.openZones.includes(id));
      if (serves) return { target: name };
      if (clock.nowMs() > untilMs)
        throw new TwinlineError(
          'slow_start',
          `${name} was started but does not serve after ${START_WITHIN_MS / 1000} s`,
        );
      await new Promise<void>((resolve) => clock.after(LOOK_AGAIN_MS, resolve));
    }
  };

  const maintenance = new Maintenance({ shape, links, clock, status, start });

  const answer = async (frame: Frame): Promise<unknown> => {
    const data = (frame.data ?? {}) as Record<string, unknown>;
    const text = (key: string): string => {
      const value = data[key];
      if (typeof value !== 'string' || value === '' || value.length > 4096)
        throw new TwinlineError('bad_command', `the command ${frame.kind} needs "${key}"`);
      return value;
    };
    const kind = frame.kind as keyof ControlCommands;
    switch (kind) {
      case 'status':
        return status();
      case 'calls':
        return { calls: await gatherCalls(shape, links) };
      case 'ladder':
        return gatherLadder(shape, links, text('call'));
      case 'kill':
      case 'freeze':
      case 'thaw':
        return signalTarget(kind, text('target'), shape, { clock, log });
      case 'start':
        return start(text('target'));
      case 'drain':
      case 'undrain':
        return maintenance.drain(text('target'), kind === 'drain');
      case 'restart':
        return text('target') === 'all' ? maintenance.restartAll() : maintenance.restart(text('target'));
      case 'move':
        return maintenance.move(text('call'), text('to'));
      case 'apply': {
        const applied = await applyConfig(state, text('path'), {
          loopbackOnly,
          ...(places === undefined ? {} : { places }),
        });
        if (!applied.ok) return { problems: applied.error };
        log.info({ account: applied.value.account, number: applied.value.number }, 'directory.applied');
        await watch.refresh();
        dataCentres?.announce();
        return applied.value;
      }
      case 'return': {
        if (dataCentres === undefined)
          throw new TwinlineError('bad_command', 'there is one data centre here: nothing can be returned');
        const returned = await dataCentres.giveBack(text('home'), data['alone'] === true);
        return { ...returned, calls: (await status()).calls };
      }
      case 'directory':
        return { accounts: watch.directories.accounts.map(summaryOf) };
      case 'fresh-passwords': {
        const once = passwords;
        passwords = [];
        return { passwords: once };
      }
      default:
        throw new TwinlineError('bad_command', `control knows no command "${String(kind satisfies never)}"`);
    }
  };

  const door = await startHttp({
    ...options.http,
    metrics: async () => {
      const asked = shape.edges.map(async (id) => {
        const answer = await links.tryAsk<{ text: string }>('edge', id, 'metrics', {});
        return { id, text: answer?.text ?? '' };
      });
      const [now, edges] = await Promise.all([status(), Promise.all(asked)]);
      return renderMetrics(now) + joinEdgeMetrics(edges);
    },
    healthy: async () => {
      const { edges, dataCentres: several } = await status();
      const here = several?.here;
      // One that stands by is no place to send calls to.
      const standsBy =
        several?.serving.some(({ home, serving }) => home === here && serving !== here) ?? false;
      return !standsBy && edges.some((edge) => edge.openZones.length > 0);
    },
    log,
  });
  const listener = await listenLink({
    path: options.socket,
    self,
    clock,
    log,
    onChannel: (channel: Channel) =>
      channel.onFrame(async (frame) => ({ kind: frame.kind, data: await answer(frame) })),
  });
  log.info(
    { accounts: configured.value.snapshots.map(({ account, number }) => ({ account, number })) },
    'control.up',
  );
  return {
    async stop() {
      await door.close();
      await listener.close();
      await dataCentres?.close();
      links.close();
      watch.close();
      await keeping.stop();
    },
  };
}

function summaryOf({ snapshot, devicesOf }: DirectoryIndex): AccountSummary {
  return {
    account: snapshot.account,
    number: snapshot.number,
    domains: snapshot.domains,
    sites: snapshot.sites.map(({ id, name, code }) => ({
      id,
      name,
      code,
      users: snapshot.users
        .filter(({ siteId }) => siteId === id)
        .map((user) => ({
          extension: user.extension,
          name: user.displayName,
          sipUsers: devicesOf(user.id).map(({ sipUser }) => sipUser),
        })),
    })),
    demoPasswords: snapshot.devices.some(hasDemoPassword),
  };
}

/** Commands and directories work without the database; it is tried again until it can be opened. */
function keepDatabase(
  { databaseFile, state, clock, log }: ControlOptions,
  accounts: Parameters<typeof keepRecords>[0]['accounts'],
): { stop(): Promise<void> } {
  let stopped = false;
  let close: () => Promise<void> = async () => {};
  const open = (waitMs: number): void => {
    openDatabase(databaseFile).then(
      (database) => {
        const keeper = keepRecords({ state, database, accounts, clock, log });
        close = async () => {
          keeper.close();
          await keeper.catchUp().catch(() => {});
          await database.destroy();
        };
        if (stopped) void close();
      },
      (error: unknown) => {
        log.error({ error: String(error), waitMs }, 'database.wait');
        const timer = clock.after(waitMs, () => open(Math.min(30_000, waitMs * 2)));
        close = async () => timer.cancel();
      },
    );
  };
  open(1000);
  return {
    async stop() {
      stopped = true;
      await close();
    },
  };
}
