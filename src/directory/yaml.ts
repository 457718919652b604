import { readFile, stat } from 'node:fs/promises';
import { isMap, LineCounter, type Node, parseDocument } from 'yaml';
import * as z from 'zod';
import type { Problem } from './problem.ts';

/** Ten thousand users take about 2 MiB; a file far above that is a mistake, not a company. */
const MAX_FILE_BYTES = 32 * 1024 * 1024;

export type Path = readonly (string | number)[];

/** Data of which any part may be missing: what is left of a file after its faulty parts were taken out. */
export type Loose<T> = T extends readonly (infer Item)[]
  ? (Loose<Item> | undefined)[]
  : T extends object
    ? { [Key in keyof T]?: Loose<T[Key]> }
    : T;

/** What a file says and where it says it. */
export interface YamlFile<T> {
  readonly file: string;
  readonly problems: readonly Problem[];
  /** Absent when there are problems. */
  readonly value?: T;
  /** Without what was faulty, so that the remaining mistakes (a name given twice) can be named in the same go. */
  readonly sound: Loose<T>;
  /** The line of the value at `path`, or of the nearest one around it. */
  lineOf(path: Path): number;
}

export async function readYamlFile<T>(file: string, schema: z.ZodType<T>): Promise<YamlFile<T>> {
  const unread = (message: string): YamlFile<T> => ({
    file,
    problems: [{ file, line: 0, message }],
    sound: {} as Loose<T>,
    lineOf: () => 0,
  });
  try {
    if ((await stat(file)).size > MAX_FILE_BYTES)
      return unread('the file is larger than 32 MiB, so it is not read');
    return parseYaml(file, await readFile(file, 'utf8'), schema);
  } catch (error) {
    return unread(whyUnreadable(error));
  }
}

/**
 * Every scalar is read as text (YAML's failsafe schema): an extension `0123`, a site code `081` or a password `1e3` stay what
 * the operator typed, quoted or not. Numbers and booleans are made by the schema's `wholeNumber` and `yesNo`.
 */
export function parseYaml<T>(file: string, text: string, schema: z.ZodType<T>): YamlFile<T> {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, schema: 'failsafe', prettyErrors: false });
  const lineAt = (offset: number): number => Math.max(1, lines.linePos(offset).line);

  const nodeLine = (node: unknown): number | undefined => {
    const range = (node as Node | undefined | null)?.range;
    return range ? lineAt(range[0]) : undefined;
  };
  /** The line of a map's key rather than of its value, which may begin a line below. */
  const keyLine = (parent: unknown, key: string | number): number | undefined => {
    if (!isMap(parent)) return undefined;
    const pair = parent.items.find(
      (item) => String((item.key as { value?: unknown })?.value) === String(key),
    );
    return pair && nodeLine(pair.key);
  };
  const lineOf = (path: Path): number => {
    for (let length = path.length; length > 0; length--) {
      const parent = length === 1 ? document.contents : document.getIn(path.slice(0, length - 1), true);
      const line =
        keyLine(parent, path[length - 1]!) ?? nodeLine(document.getIn(path.slice(0, length), true));
      if (line !== undefined) return line;
    }
    return nodeLine(document.contents) ?? 1;
  };

  let plain: unknown;
  const problems: Problem[] = document.errors.map((error) => ({
    file,
    line: lineAt(error.pos[0]),
    message: `this is not valid YAML: ${error.message.replace(/\s+/g, ' ')}`,
  }));
  try {
    // The alias limit stops a file of a few lines from unfolding to gigabytes.
    if (problems.length === 0) plain = document.toJS({ maxAliasCount: 100 }) || {};
  } catch (error) {
    problems.push({ file, line: 1, message: `this cannot be read: ${(error as Error).message}` });
  }
  if (problems.length > 0) return { file, problems, sound: {} as Loose<T>, lineOf };

  const checked = schema.safeParse(plain);
  if (checked.success)
    return { file, problems, value: checked.data, sound: checked.data as Loose<T>, lineOf };
  for (const issue of checked.error.issues)
    for (const { path, message } of problemsOf(issue, plain))
      problems.push({ file, line: lineOf(path), message });
  const sound = checked.error.issues.some(
    (issue) => issue.path.length === 0 && issue.code !== 'unrecognized_keys',
  )
    ? {}
    : plain;
  for (const issue of checked.error.issues)
    if (issue.code !== 'unrecognized_keys') takeOut(sound, issue.path as Path);
  return { file, problems, sound: sound as Loose<T>, lineOf };
}

/** Holes keep the other entries of a list at their index, so that their lines are still found. */
function takeOut(from: unknown, path: Path): void {
  const parent = path.slice(0, -1).reduce<unknown>((at, key) => (at as Indexed | undefined)?.[key], from);
  if (path.length > 0 && typeof parent === 'object' && parent !== null)
    (parent as Indexed)[path.at(-1)!] = undefined;
}

type Indexed = Record<string | number, unknown>;

function problemsOf(issue: z.core.$ZodIssue, plain: unknown): { path: Path; message: string }[] {
  const path = issue.path as (string | number)[];
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => ({ path: [...path, key], message: `"${key}" is not a setting here` }));
  }
  const value = path.reduce<unknown>((at, key) => (at as Indexed | undefined)?.[key], plain);
  const name = nameOf(path);
  if (value === undefined) return [{ path, message: `${name} is missing` }];
  const said = typeof value === 'string' ? `, not "${value.slice(0, 60)}"` : '';
  return [{ path, message: `${name} ${issue.message}${said}` }];
}

function nameOf(path: Path): string {
  const last = path.at(-1);
  if (last === undefined) return 'the file';
  if (typeof last === 'string') return `"${last}"`;
  return `entry ${last + 1} of "${String(path.at(-2) ?? '')}"`;
}

export function whyUnreadable(error: unknown): string {
  const code = (error as NodeJS.ErrnoException).code;
  if (code === 'ENOENT') return 'there is no such file or directory';
  if (code === 'EACCES') return 'the right to read it is missing';
  if (code === 'EISDIR') return 'it is a directory, not a file';
  return `it cannot be read (${code ?? (error as Error).message})`;
}

/** Building blocks of schemas. Each message completes the sentence `"key" …`. */
export const text = (max = 200) =>
  z.string('must be text').trim().min(1, 'must not be empty').max(max, `must have at most ${max} characters`);

export const matching = (pattern: RegExp, what: string) =>
  z.string(`must be ${what}`).regex(pattern, `must be ${what}`);

export const oneOf = <const T extends readonly [string, ...string[]]>(values: T) =>
  z.enum(
    values,
    `must be ${values.length > 1 ? `${values.slice(0, -1).join(', ')} or ` : ''}${values.at(-1)}`,
  );

export const wholeNumber = (min: number, max: number) => {
  const message = `must be a whole number from ${min} to ${max}`;
  return z
    .string(message)
    .regex(/^-?\d{1,15}$/, message)
    .transform(Number)
    .pipe(z.number().min(min, message).max(max, message));
};

export const yesNo = () =>
  oneOf(['true', 'false', 'yes', 'no']).transform((said) => said === 'true' || said === 'yes');

export const list = <T extends z.ZodType>(item: T, max = 100_000) =>
  z.array(item, 'must be a list').max(max, `must have at most ${max} entries`);

export const record = <T extends z.core.$ZodLooseShape>(shape: T) =>
  z.strictObject(shape, {
    error: (issue) => (issue.code === 'invalid_type' ? 'must be a list of settings (key: value)' : undefined),
  });
