// Lets a child process run our sources: `node --import .../typescript-loader.mjs script.ts`. Types are stripped, not checked.
// What was stripped once is kept by its content: loading the compiler and running it over the sources costs a child seconds of CPU.
import { createHash } from 'node:crypto';
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { register } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isMainThread, threadId } from 'node:worker_threads';

if (isMainThread) register(import.meta.url);

const root = fileURLToPath(new URL('../..', import.meta.url));
const kept = join(root, 'node_modules/.cache/twinline-stripped');

export async function load(url, context, next) {
  if (!url.startsWith('file:') || !url.endsWith('.ts')) return next(url, context);
  const text = await readFile(fileURLToPath(url), 'utf8');
  const name = join(kept, `${createHash('sha256').update(text).digest('hex')}.js`);
  const source = (await read(name)) ?? (await strip(text, name));
  return { format: 'module', source, shortCircuit: true };
}

async function read(name) {
  try {
    return await readFile(name, 'utf8');
  } catch {
    return undefined;
  }
}

async function strip(text, name) {
  const typescript = (await import('typescript')).default;
  const { outputText } = typescript.transpileModule(text, {
    compilerOptions: {
      module: typescript.ModuleKind.ESNext,
      target: typescript.ScriptTarget.ES2023,
      verbatimModuleSyntax: true,
    },
  });
  try {
    await mkdir(kept, { recursive: true });
    const whole = `${name}.${process.pid}.${threadId}`;
    await writeFile(whole, outputText);
    await rename(whole, name);
  } catch {
    // A place that cannot be written to costs time, and nothing else.
  }
  return outputText;
}
