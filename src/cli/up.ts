import { rmSync, writeFileSync } from 'node:fs';
import { chmod, mkdir } from 'node:fs/promises';
import { resolve } from 'node:path';
import { TwinlineError } from '../base/index.ts';
import { findProcesses, type InstallationStatus } from '../control/index.ts';
import { describeProblem, readAccountConfig } from '../directory/index.ts';
import type { Peer } from '../link/index.ts';
import { killExact, processStartTime, systemClock, systemRandom } from '../native/index.ts';
import { banner, passwordLines } from './banner.ts';
import {
  checkDataCentreCertificate,
  checkMachineCertificate,
  ensureCertificate,
  ensureDtlsCertificates,
} from './certificate.ts';
import { checkBind, checkDataDirectory, checkPorts } from './checks.ts';
import { type ControlClient, connectControl } from './client.ts';
import { type LaunchedRole, Launcher } from './launcher.ts';
import { createLogger } from './logger.ts';
import { commandName, packageVersion } from './package-root.ts';
import { dcCertificateDir, machineCertificateDir, pairKeyFile, planFile, runDir } from './paths.ts';
import { isHere, linkPortsOf } from './places.ts';
import { makePlan, type Plan } from './plan.ts';
import { pairSecret } from './process-context.ts';
import { checkSharedKeys, ensurePairSecret } from './shared-keys.ts';
import { checkStateEngine } from './state-engine.ts';
import { type MachineTopology, parsePortRange, readTopology } from './topology.ts';
import { announceDeath } from './zone-death.ts';

/** Loading eleven processes on two cores that are busy with other things. */
const READY_WITHIN_MS = 45_000;
const LOOK_AGAIN_MS = 50;
/** Processes of a launcher that was killed notice it within a second. */
const LEFTOVERS_END_WITHIN_MS = 2500;

export interface UpOptions {
  readonly portBase: string;
  readonly mediaPorts?: string;
  readonly data: string;
  readonly topology: string;
  /** Which data centre of the topology this is. */
  readonly dc?: string;
  readonly dcCertificates?: string;
  /** Which machine of the topology this is. */
  readonly machine?: string;
  readonly machineCertificates?: string;
  readonly config: string;
  readonly bind?: string;
  readonly verbose: boolean;
  readonly logLevel: string;
}

/** Starts an installation and stays until it was ended. Resolves to the exit code; rejects with sentences for people. */
export async function up(options: UpOptions, say: (text: string) => void): Promise<number> {
  const plan = await prepare(options);
  const file = planFile(plan.data);
  const self: Peer = { role: 'launcher', id: 'launcher', ...plan.launcher };
  const log = createLogger({ name: 'launcher', data: plan.data, ...plan.logs });
  const clock = systemClock;

  let isReady = false;
  let endBy: (signal: string) => void = () => {};
  const ended = new Promise<string>((end) => {
    endBy = end;
  });
  let failStart: (error: Error) => void = () => {};
  const failed = new Promise<never>((_, reject) => {
    failStart = reject;
  });
  failed.catch(() => {});
  const launcher = new Launcher({
    plan,
    planFile: file,
    main: process.argv[1]!,
    self,
    clock,
    random: systemRandom,
    log,
    onExit: (process) => {
      if (isReady) say(obituary(process, plan));
      else failStart(startFailure(process));
    },
    onZoneDead: (id, stillDead) => {
      const context = { plan, planFile: file, self, clock, random: systemRandom, log };
      announceDeath(context, id, stillDead).catch((error: unknown) =>
        log.warn({ zone: id, error: String(error) }, 'launcher.not_said_dead'),
      );
    },
  });
  await launcher.listen();
  writeFileSync(file, JSON.stringify(plan, undefined, 2), { mode: 0o600 });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => endBy(signal));

  try {
    launcher.start('control', 'control');
    const interrupted = ended.then((signal) => new Interrupted(signal));
    const started = await Promise.race([bringUp(plan, launcher, say), failed, interrupted]);
    if (!(started instanceof Interrupted)) {
      isReady = true;
      launcher.watchEdges();
      say(started);
      say('ready');
    }
    log.info({ signal: await ended }, 'launcher.stops');
    return 0;
  } finally {
    await launcher.stop();
    rmSync(file, { force: true });
  }
}

class Interrupted {
  readonly signal: string;
  constructor(signal: string) {
    this.signal = signal;
  }
}

/** Looks at everything that can be wrong before a process is started, and writes what the processes read. */
async function prepare(options: UpOptions): Promise<Plan> {
  const portBase = Number(options.portBase);
  if (!/^\d{1,5}$/.test(options.portBase) || portBase < 1 || portBase > 65_000)
    throw new TwinlineError(
      'bad_option',
      `--port-base ${options.portBase} must be a whole number from 1 to 65000`,
    );
  const mediaPorts = options.mediaPorts === undefined ? undefined : parsePortRange(options.mediaPorts);
  if (options.mediaPorts !== undefined && mediaPorts === undefined)
    throw new TwinlineError(
      'bad_option',
      `--media-ports ${options.mediaPorts} must be two numbers between 1024 and 65535 such as 16384-32767`,
    );
  const topology = await readTopology(options.topology, {
    portBase,
    ...(mediaPorts && { mediaPorts }),
    ...(options.dc === undefined ? {} : { dataCentre: options.dc }),
  });
  if (!topology.ok)
    throw new TwinlineError('topology_invalid', topology.error.map(describeProblem).join('\n'));
  const machine = machineNamed(options.machine, topology.value.machines);
  const bind = checkBind(options.bind ?? machine?.address ?? '127.0.0.1');
  const config = await readAccountConfig(options.config, topology.value.places);
  if (!config.ok) throw new TwinlineError('config_invalid', config.error.map(describeProblem).join('\n'));

  const data = resolve(options.data);
  await checkDataDirectory(data);
  const dcCertificates = options.dcCertificates ? resolve(options.dcCertificates) : dcCertificateDir(data);
  if (topology.value.dataCentre) checkDataCentreCertificate(dcCertificates, topology.value.dataCentre.id);
  const machineCertificates = options.machineCertificates
    ? resolve(options.machineCertificates)
    : machineCertificateDir(data);
  if (machine !== undefined) checkMachineCertificate(machineCertificates, machine.id);
  const plan = makePlan({
    topology: topology.value,
    ...(machine !== undefined && { machine: machine.id }),
    machineCertificates,
    data,
    launcher: { pid: process.pid, startTime: processStartTime(process.pid) },
    portBase,
    bind,
    configPath: resolve(options.config),
    loopbackOnly: bind.loopbackOnly,
    version: packageVersion(),
    logs: { level: options.logLevel, toStderr: options.verbose },
    dcCertificates,
  });
  await refuseSecondLauncher(data);
  await endLeftovers(data);
  await checkPorts([
    ...plan.edges.filter((edge) => isHere(plan, edge)).flatMap(({ listeners }) => listeners),
    ...linkPortsOf(plan).map((place) => ({ transport: 'links', ...place })),
    { transport: 'http', ...plan.http },
    ...(plan.dataCentre ? [{ transport: 'data centres', ...plan.dataCentre.meet }] : []),
  ]);
  await mkdir(runDir(data), { recursive: true, mode: 0o700 });
  await chmod(runDir(data), 0o700);
  if (machine === undefined) await ensurePairSecret(data);
  else checkSharedKeys(data);
  await checkStateEngine(
    plan.state,
    pairSecret(plan),
    { clock: systemClock, random: systemRandom },
    machine && pairKeyFile(data),
  );
  if (machine === undefined) await ensureDtlsCertificates(data);
  await ensureCertificate(data, [...new Set([bind.reachedBy, 'localhost', ...config.value.domains])]);
  return plan;
}

/** Said before the ports are looked at, which the other installation has. */
async function refuseSecondLauncher(data: string): Promise<void> {
  const client = await connectControl(data, 'launcher').catch(() => undefined);
  if (client === undefined) return;
  client.close();
  // Control also answers while its launcher was just killed: it ends within a second.
  await new Promise((wait) => setTimeout(wait, LEFTOVERS_END_WITHIN_MS));
  const again = await connectControl(data, 'launcher').catch(() => undefined);
  if (again === undefined) return;
  again.close();
  throw new TwinlineError(
    'already_running',
    `an installation already runs with data directory ${data}: stop it, or choose another --data`,
  );
}

/** What a killed launcher left ends by itself; what cannot (frozen) is ended. */
async function endLeftovers(data: string): Promise<void> {
  const untilMs = systemClock.nowMs() + LEFTOVERS_END_WITHIN_MS;
  for (;;) {
    const left = findProcesses(planFile(data));
    if (left.length === 0) return;
    if (systemClock.nowMs() > untilMs)
      for (const { pid, startTime } of left) killExact(pid, startTime, 'SIGKILL');
    if (systemClock.nowMs() > untilMs + LEFTOVERS_END_WITHIN_MS)
      throw new TwinlineError(
        'leftovers',
        `processes of an earlier start do not end: ${left.map(({ pid }) => pid).join(', ')}`,
      );
    await new Promise((wait) => setTimeout(wait, LOOK_AGAIN_MS));
  }
}

function machineNamed(
  name: string | undefined,
  machines: readonly MachineTopology[],
): MachineTopology | undefined {
  const ids = machines.map(({ id }) => id).join(', ');
  const found = machines.find(({ id }) => id === name);
  if (name === undefined && machines.length > 0)
    throw new TwinlineError(
      'bad_option',
      `this topology describes several machines (${ids}): say with --machine which of them this is`,
    );
  if (name !== undefined && found === undefined)
    throw new TwinlineError(
      'bad_option',
      ids === ''
        ? `this topology describes one machine and no "${name}": leave --machine out`
        : `there is no machine "${name}" in this topology; there is: ${ids}`,
    );
  return found;
}

/** Control first, so that nobody serves with passwords that it replaces; then all others at once. Gives what to tell people. */
async function bringUp(plan: Plan, launcher: Launcher, say: (text: string) => void): Promise<string> {
  const untilMs = systemClock.nowMs() + READY_WITHIN_MS;
  let client = await controlWhenUp(plan, untilMs);
  try {
    // Said at once: they are kept nowhere, and the rest of the start may yet fail.
    const { passwords } = await client.ask('fresh-passwords', {});
    if (passwords.length > 0) say(passwordLines(passwords));
    for (const edge of plan.edges) if (isHere(plan, edge)) launcher.start('edge', edge.id);
    for (const zone of plan.zones) if (isHere(plan, zone)) launcher.start('zone', zone.id);
    for (;;) {
      const status = await client.ask('status', {}).catch(() => undefined);
      const missing = status === undefined ? ['control'] : whatIsMissing(status, plan);
      if (missing.length === 0) break;
      if (systemClock.nowMs() > untilMs)
        throw new TwinlineError(
          'not_ready',
          `after ${READY_WITHIN_MS / 1000} s these do not serve: ${missing.join(', ')}; the logs in ${plan.data}/log say more`,
        );
      await new Promise((wait) => setTimeout(wait, LOOK_AGAIN_MS));
      if (status === undefined) {
        client.close();
        client = await controlWhenUp(plan, untilMs);
      }
    }
    const { accounts } = await client.ask('directory', {});
    return banner({ plan, accounts, version: packageVersion(), command: commandName() });
  } finally {
    client.close();
  }
}

async function controlWhenUp(plan: Plan, untilMs: number): Promise<ControlClient> {
  for (;;) {
    const client = await connectControl(plan.data, 'launcher').catch(() => undefined);
    if (client !== undefined) return client;
    if (systemClock.nowMs() > untilMs)
      throw new TwinlineError('not_ready', `control does not serve; ${plan.data}/log/control.log says more`);
    await new Promise((wait) => setTimeout(wait, LOOK_AGAIN_MS));
  }
}

/** Every zone of this machine up and known to every edge of it as taking calls. */
function whatIsMissing(status: InstallationStatus, plan: Plan): string[] {
  const here = new Set<string>(
    [...plan.zones, ...plan.edges].filter((one) => isHere(plan, one)).map(({ id }) => id),
  );
  const zones = status.zones.filter(({ id }) => here.has(id));
  return [
    ...zones.filter(({ state }) => state !== 'up').map(({ id }) => `zone ${id}`),
    ...status.edges
      .filter(({ id }) => here.has(id))
      .flatMap((edge) =>
        edge.state === 'up'
          ? zones
              .filter(({ id }) => !edge.openZones.includes(id))
              .map(({ id }) => `zone ${id} behind edge ${edge.id}`)
          : [`edge ${edge.id}`],
      ),
  ];
}

interface Ended {
  readonly role: LaunchedRole;
  readonly id: string;
  readonly how: string;
  readonly lastWords: string;
}

function startFailure({ role, id, how, lastWords }: Ended): TwinlineError {
  const name = role === id ? role : `${role} ${id}`;
  return new TwinlineError('start_failed', lastWords || `${name} ended with ${how} while starting`);
}

function obituary({ role, id, how }: Ended, plan: Plan): string {
  if (role !== 'zone') return `${role === id ? role : `${role} ${id}`} ended (${how}) and is started again`;
  const twin = plan.zones.find((zone) => zone.id === (id as typeof zone.id))?.twin;
  return `zone ${id} ended (${how}); zone ${twin} carries its calls. Start it again with: ${commandName()} start zone ${id}`;
}
