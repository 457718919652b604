#!/usr/bin/env node
import { TwinlineError } from '../base/index.ts';

// The processes of an installation come by the first way and load no command line; people by the second.
const [command = '', id = '', planFile = ''] = process.argv.slice(2);
try {
  if (command.startsWith('run-')) {
    const { runProcess } = await import('./run.ts');
    await runProcess(command.slice('run-'.length), id, planFile);
  } else {
    const { runCommandLine } = await import('./program.ts');
    process.exitCode = await runCommandLine(process.argv);
  }
} catch (error) {
  // A sentence for what people can help, a stack for what only we can.
  const text = error instanceof TwinlineError ? error.message : ((error as Error).stack ?? String(error));
  process.stderr.write(`${text}\n`);
  process.exitCode = 1;
}
