import { spawn } from 'node:child_process';
import type { Clock, Logger, Random, SwitchId, ZoneId } from '../base/index.ts';
import {
  type Channel,
  connectTo,
  type LinkPlace,
  listenAt,
  type Peer,
  type ProcessRef,
  type RemoteDoor,
} from '../link/index.ts';
import { isSameProcess, killExact, processStartTime } from '../native/index.ts';
import type { StatePort } from '../state/index.ts';
import type { ChildRole, SpawnedProcess, Spawner } from './children.ts';
import type { ProcessEnder } from './fencing.ts';
import { readProcessFacts } from './proc-watch.ts';
import { Supervisor, type SupervisorOptions } from './supervisor.ts';

/** A child that was asked to end and has not is killed. */
const STOP_GRACE_MS = 3_000;
/** How often a dying process is looked at again. */
const GONE_POLL_MS = 1;

export interface ZoneOptions {
  readonly zone: ZoneId;
  readonly twin?: {
    readonly id: ZoneId;
    readonly place: LinkPlace;
    /** Where it runs on another machine. */
    readonly elsewhere?: SupervisorOptions['twinElsewhere'];
  };
  readonly switches: readonly SwitchId[];
  readonly media: readonly string[];
  /** Where this zone's children and its twin reach the supervisor. */
  readonly socket: string;
  /** Where the twin does, and control, from another machine. */
  readonly remoteDoor?: RemoteDoor | undefined;
  /** The command line of a child. */
  readonly command: (
    role: ChildRole,
    id: string,
  ) => { readonly file: string; readonly args: readonly string[] };
  readonly state: StatePort;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  /** The zone was taken by its twin on another machine: this process must end. */
  readonly onTaken?: () => void;
}

/** Runs a zone's supervisor in this process. Resolves once it listens; children come up on their own. */
export async function startZone(
  options: ZoneOptions,
): Promise<{ supervisor: Supervisor; stop(): Promise<void> }> {
  const { zone, twin, clock, random, log } = options;
  const self: Peer = { role: 'zone', id: zone, pid: process.pid, startTime: processStartTime(process.pid) };
  const supervisor = new Supervisor({
    zone,
    twin: twin?.id,
    ...(twin?.elsewhere && { twinElsewhere: twin.elsewhere }),
    switches: options.switches,
    media: options.media,
    clock,
    random,
    state: options.state,
    spawner: processSpawner(options),
    ender: processEnder(clock),
    look: readProcessFacts,
    log,
    ...(options.onTaken && { onTaken: options.onTaken }),
  });
  const listener = await listenAt({
    path: options.socket,
    remote: options.remoteDoor,
    self,
    clock,
    log,
    onChannel: (channel: Channel) => supervisor.accept(channel),
  });
  // One channel between the two supervisors is enough: the one whose name sorts first connects.
  const connector =
    twin !== undefined && zone < twin.id
      ? connectTo({
          place: twin.place,
          self,
          clock,
          random,
          log,
          onChannel: (channel: Channel) => supervisor.acceptTwin(channel),
        })
      : undefined;
  supervisor.start();
  return {
    supervisor,
    async stop() {
      // Before the twin's channel closes: while we end in order, neither may take the other for dead and kill its processes.
      await supervisor.stop();
      connector?.close();
      await listener.close();
    },
  };
}

function processSpawner(options: ZoneOptions): Spawner {
  return {
    spawn(role, id): SpawnedProcess {
      const { file, args } = options.command(role, id);
      const child = spawn(file, [...args], { stdio: ['ignore', 'inherit', 'inherit'] });
      const exits: ((how: string) => void)[] = [];
      let ended: string | undefined;
      const onEnd = (how: string) => {
        if (ended !== undefined) return;
        ended = how;
        for (const handler of exits) handler(how);
      };
      child.once('exit', (code, signal) => onEnd(signal ?? `exit ${code}`));
      child.once('error', (error) => onEnd(`could not be started: ${error.message}`));
      const pid = child.pid ?? 0;
      return {
        pid,
        startTime: pid === 0 ? 0 : processStartTime(pid),
        onExit(handler) {
          if (ended === undefined) exits.push(handler);
          else handler(ended);
        },
        stop() {
          if (ended !== undefined) return Promise.resolve();
          return new Promise((resolve) => {
            const killer = options.clock.after(STOP_GRACE_MS, () => child.kill('SIGKILL'));
            exits.push(() => {
              killer.cancel();
              resolve();
            });
            child.kill('SIGTERM');
          });
        },
      };
    },
  };
}

function processEnder(clock: Clock): ProcessEnder {
  return {
    end: (ref: ProcessRef) => killExact(ref.pid, ref.startTime, 'SIGKILL'),
    running: (ref: ProcessRef) => isSameProcess(ref.pid, ref.startTime),
    gone: (ref: ProcessRef) =>
      new Promise((resolve) => {
        const look = () => {
          if (!isSameProcess(ref.pid, ref.startTime)) resolve();
          else clock.after(GONE_POLL_MS, look);
        };
        look();
      }),
  };
}
