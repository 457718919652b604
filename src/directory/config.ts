import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { failed, ok, type Result } from '../base/index.ts';
import { checkAccount } from './check.ts';
import { checkPlaces, type Places } from './places.ts';
import type { Problem } from './problem.ts';
import { type AccountFile, accountSchema } from './schema.ts';
import { readYamlFile, whyUnreadable } from './yaml.ts';

const MAX_FILES = 500;

/**
 * Reads one account's configuration from a YAML file or from all `*.yaml` files of a directory: lists of several files are joined,
 * so that a large company can keep its users in files of their own. Every mistake of every file is named. `places`: the zones and regions
 * that the files may name; without them such names are not checked.
 */
export async function readConfigFiles(
  path: string,
  places?: Places,
): Promise<Result<AccountFile, Problem[]>> {
  const files = await configFilesOf(path);
  if (!files.ok) return files;
  const read = await Promise.all(files.value.map((file) => readYamlFile(file, accountSchema)));
  const problems = [
    ...read.flatMap((file) => file.problems),
    ...checkAccount(path, read),
    ...checkPlaces(read, places),
  ];
  if (problems.length > 0) {
    const order = new Map(files.value.map((file, index) => [file, index]));
    return failed(
      problems.sort((a, b) => (order.get(a.file) ?? -1) - (order.get(b.file) ?? -1) || a.line - b.line),
    );
  }
  const values = read.map((file) => file.value!);
  return ok({
    account: values.find((value) => value.account !== undefined)?.account,
    'region-lock': values.find((value) => value['region-lock'] !== undefined)?.['region-lock'],
    domains: values.flatMap((value) => value.domains ?? []),
    defaults: values.find((value) => value.defaults !== undefined)?.defaults,
    sites: values.flatMap((value) => value.sites ?? []),
    users: values.flatMap((value) => value.users ?? []),
  });
}

async function configFilesOf(path: string): Promise<Result<string[], Problem[]>> {
  const refuse = (message: string) => failed([{ file: path, line: 0, message }]);
  try {
    if (!(await stat(path)).isDirectory()) return ok([path]);
    const names = (await readdir(path)).filter((name) => /^[^.].*\.ya?ml$/.test(name)).sort();
    if (names.length === 0) return refuse('the directory has no file whose name ends in .yaml');
    if (names.length > MAX_FILES) return refuse(`the directory has more than ${MAX_FILES} YAML files`);
    return ok(names.map((name) => join(path, name)));
  } catch (error) {
    return refuse(whyUnreadable(error));
  }
}
