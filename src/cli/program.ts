import { Command, CommanderError } from 'commander';
import { TwinlineError } from '../base/index.ts';
import { defaultConfig, defaultTopology, packageVersion } from './package-root.ts';
import type { UpOptions } from './up.ts';

const TARGETS = 'zone a, switch a1, media a, edge';

/** Reads the command line, does what it says, gives the exit code. Rejects with a sentence for people. */
export async function runCommandLine(argv: readonly string[]): Promise<number> {
  let code = 0;
  const say = (text: string): void => {
    process.stdout.write(`${text}\n`);
  };
  // `twinline calls | head` closes our output before we are done.
  process.stdout.on('error', () => {});

  const program = new Command('twinline')
    .description('A SIP and WebRTC telephony and media server whose calls outlive the zone that carries them')
    .version(packageVersion())
    .exitOverride()
    .configureOutput({ writeErr: () => {}, writeOut: (text) => process.stdout.write(text) });

  program
    .command('up')
    .description('start a whole installation on this machine and stay until Ctrl-C')
    .option(
      '--port-base <n>',
      'SIP at N+60 (UDP, TCP), N+61 (TLS), N+62 (WS), N+63 (WSS), HTTP at N+80, N+81',
      '5000',
    )
    .option('--media-ports <a-b>', 'UDP ports for media (default: the topology’s)')
    .option('--data <dir>', 'where state, keys, logs and sockets lie', './data')
    .option('--topology <file>', 'what runs where', defaultTopology)
    .option('--dc <name>', 'which data centre of the topology this is, where it describes several')
    .option('--dc-certificates <dir>', 'ca.crt, dc.crt and dc.key (default: DATA/tls/dc)')
    .option('--machine <name>', 'which machine of the topology this is, where it describes several')
    .option('--machine-certificates <dir>', 'ca.crt, machine.crt and machine.key (default: DATA/tls/machine)')
    .option('--config <dir>', 'the account that an empty installation begins with', defaultConfig)
    .option('--bind <address>', 'the address to listen on (default: 127.0.0.1, or the machine’s)')
    .option('--log-level <level>', 'debug, info, warn or error', 'info')
    .option('--verbose', 'logs on stderr instead of files', false)
    .action(async (options: UpOptions) => {
      const { up } = await import('./up.ts');
      code = await up(options, say);
    });

  program
    .command('keys')
    .description('make what all machines of one installation must have alike, to be copied to each')
    .option('--data <dir>', 'where state, keys, logs and sockets lie', './data')
    .action(async ({ data }: { data: string }) => {
      const { makeSharedKeys } = await import('./shared-keys.ts');
      say(await makeSharedKeys(data));
    });

  const asking = (name: string, description: string): Command =>
    program
      .command(name)
      .description(description)
      .option('--data <dir>', 'the data directory of the installation', './data')
      .option('--json', 'one object on stdout', false);
  const commands = () => import('./commands.ts');

  asking('status', 'zones, switches, media, edges, calls, registrations').action(async (options) =>
    (await commands()).showStatus(options, say),
  );
  asking('calls', 'the calls that are up, and who carries them').action(async (options) =>
    (await commands()).showCalls(options, say),
  );
  asking('call', 'the messages of a call as a ladder')
    .argument('<id>', 'as "twinline calls" shows it; the beginning suffices')
    .action(async (id: string, options) => (await commands()).showCall(id, options, say));
  for (const [verb, description] of [
    ['kill', 'end processes at once (SIGKILL)'],
    ['freeze', 'stop processes without ending them (SIGSTOP)'],
    ['thaw', 'let frozen processes go on (SIGCONT)'],
    ['start', 'start what was killed, and wait until it serves'],
    ['drain', 'give no new work to a zone, switch or media process, and hand its calls over to others'],
    ['undrain', 'give new calls again'],
    [
      'restart',
      'hand the calls over, end the processes in order, start them anew; "all" for one after the other',
    ],
  ] as const) {
    asking(verb, description)
      .argument('<target...>', TARGETS)
      .action(async (target: string[], options) =>
        (await commands()).steer(verb, target.join(' '), options, say),
      );
  }
  asking('move', 'bring a call to another switch while it goes on')
    .argument('<id>', 'as "twinline calls" shows it; the beginning suffices')
    .argument('<switch...>', 'switch b1')
    .action(async (id: string, to: string[], options) =>
      (await commands()).move(id, to.join(' '), options, say),
    );
  asking('return', 'give a data centre its users back after its secondary took them over')
    .argument('<data-centre>', 'said there or at its secondary')
    .option('--alone', 'its secondary is gone and will not be asked', false)
    .action(async (home: string, options) =>
      (await commands()).giveBack(home, options.alone === true, options, say),
    );
  asking('apply', 'make a configuration count, whole or not at all')
    .argument('<file>', 'a YAML file, or a directory of them')
    .action(async (file: string, options) => (await commands()).apply(file, options, say));
  asking('check', 'name every mistake of a configuration or topology')
    .argument('<config>', 'a YAML file, or a directory of them')
    .option('--topology <file>', 'where the zones and regions stand that a configuration names')
    .action(async (config: string, options) => (await commands()).check(config, options, say));

  try {
    await program.parseAsync([...argv]);
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode === 0) return 0;
    throw new TwinlineError(
      'bad_command',
      `${error.message.replace(/^error: /, '')}; "twinline --help" lists the commands`,
    );
  }
  return code;
}
