import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { twinline } from '../support/command-line.ts';
import { Installation, ROOT } from '../support/installation.ts';
import { processesOf } from '../support/installation-processes.ts';
import { Phone } from '../support/phone.ts';
import { callAndTalk, hearEachOther, registeredPhone } from '../support/talk.ts';

describe('a configuration', () => {
  let scratch: string;
  let good: string;
  beforeAll(() => {
    scratch = mkdtempSync(path.join(tmpdir(), 'twinline-config-'));
    good = path.join(scratch, 'good');
    cpSync(path.join(ROOT, 'config/demo'), good, { recursive: true });
  });
  afterAll(() => rmSync(scratch, { recursive: true, force: true }));

  /** The demo's configuration with each text changed that many times. */
  function changed(
    name: string,
    changes: readonly (readonly [file: string, from: string, to: string])[],
  ): string {
    const directory = path.join(scratch, name);
    cpSync(path.join(ROOT, 'config/demo'), directory, { recursive: true });
    for (const [file, from, to] of changes) {
      const text = readFileSync(path.join(directory, file), 'utf8');
      expect(text).toContain(from);
      writeFileSync(path.join(directory, file), text.replace(from, to));
    }
    return directory;
  }

  const lineOf = (directory: string, file: string, text: string): string => {
    const whole = readFileSync(path.join(directory, file), 'utf8');
    return `${path.join(directory, file)}:${whole.slice(0, whole.indexOf(text)).split('\n').length}:`;
  };

  test('with three mistakes in two files: `check` and `up` name all three with file and line', async () => {
    const bad = changed('bad', [
      ['users.yaml', 'extension: 1004', 'extension: 1003'],
      ['users.yaml', 'name: Claude Shannon, site: head-office', 'name: Claude Shannon, site: attic'],
      ['account.yaml', 'digest: [MD5]', 'digest: [ROT13]'],
    ]);
    const expected = [
      lineOf(bad, 'account.yaml', 'ROT13'),
      lineOf(bad, 'users.yaml', 'name: Alan Turing'),
      lineOf(bad, 'users.yaml', 'site: attic'),
    ];
    const data = path.join(scratch, 'data');
    for (const command of [
      ['check', bad],
      ['up', '--config', bad, '--data', data],
    ]) {
      const said = await twinline(command);
      expect([said.code, said.stdout]).toEqual([1, '']);
      const lines = said.stderr.trimEnd().split('\n');
      expect(lines).toHaveLength(3);
      for (const [at, place] of expected.entries())
        expect(lines[at]!.startsWith(place), lines[at]).toBe(true);
    }
    expect(processesOf(data)).toEqual([]);
    const json = await twinline(['check', bad, '--json']);
    expect(json.code).toBe(1);
    expect(JSON.parse(json.stdout)).toMatchObject({ ok: false, problems: [{}, {}, {}] });
  });

  test('without a mistake, of a company and of a place', async () => {
    expect(await twinline(['check', good])).toMatchObject({ code: 0, stderr: '' });
    expect(await twinline(['check', 'sip-zones/local.yaml'])).toMatchObject({ code: 0, stderr: '' });
    const none = await twinline(['check', path.join(scratch, 'nowhere')]);
    expect(none.code).toBe(1);
    expect(none.stderr.trimEnd().split('\n')).toHaveLength(1);
    expect(none.stderr).toContain(path.join(scratch, 'nowhere'));
  });

  describe('applied to a running installation', () => {
    let installation: Installation;
    beforeAll(async () => {
      installation = await Installation.start({ config: good });
    });
    afterAll(() => installation?.stop());

    /** The final status of a REGISTER. */
    async function registers(user: string, password: string): Promise<number> {
      await using phone = await Phone.open({
        user,
        password,
        domain: 'demo.twinline.test',
        servers: [{ address: '127.0.0.1', port: installation.port('udp') }],
      });
      const [response] = await phone.tryRegister();
      return response!.status;
    }

    test('it changes who may register at once, and the call that is up talks on', async () => {
      await using grace = await registeredPhone(installation, '1003');
      await using alan = await registeredPhone(installation, '1004');
      const talk = await callAndTalk(grace, alan);
      const pids = processesOf(installation.data).sort();
      expect(await registers('1011', 'a-new-one')).toBe(401);
      expect(await registers('1002', 'demo-1002')).toBe(200);

      const next = changed('next', [
        [
          'users.yaml',
          'users:\n',
          'users:\n  - { extension: 1011, name: Kathleen Antonelli, site: head-office, password: a-new-one }\n',
        ],
        ['users.yaml', 'password: demo-1002', 'password: another-one'],
      ]);
      expect(await installation.twinline('apply', next)).toMatchObject({ changed: true, users: 11 });
      // Every switch watches the directory for itself, once a second; ten wrong passwords would lock us out.
      await expect.poll(() => registers('1011', 'a-new-one'), { timeout: 10_000, interval: 300 }).toBe(200);
      await expect.poll(() => registers('1002', 'another-one'), { timeout: 10_000, interval: 300 }).toBe(200);
      await expect.poll(() => registers('1002', 'demo-1002'), { timeout: 10_000, interval: 300 }).toBe(401);
      await hearEachOther(talk);
      expect(processesOf(installation.data).sort()).toEqual(pids);
      await talk.caller.bye();

      // The newcomer is called like anybody else.
      await using kathleen = await registeredPhone(installation, '1011', {
        phone: { password: 'a-new-one' },
      });
      // A switch that looks once a second may not know her yet and say 404: the next one is tried.
      const outcome = async () => {
        const call = await grace.call(kathleen.options.user);
        const seen = await Promise.race([
          call.answered().then(() => 'answered'),
          call.ended().then(({ status }) => String(status)),
        ]);
        if (seen === 'answered') await call.bye();
        return seen;
      };
      await expect.poll(outcome, { timeout: 10_000, interval: 300 }).toBe('answered');
    });

    test('a bad one changes nothing, and says what is wrong', async () => {
      const { number } = await installation.twinline<{ number: number }>('apply', path.join(scratch, 'next'));
      for (const file of [path.join(scratch, 'bad'), path.join(scratch, 'nowhere'), '/dev/null']) {
        const said = await twinline(['apply', file, '--data', installation.data]);
        expect([said.code, said.stdout]).toEqual([1, '']);
        const lines = said.stderr.trimEnd().split('\n');
        for (const line of lines) expect(line.startsWith(file), line).toBe(true);
        if (file.endsWith('bad')) expect(lines).toHaveLength(3);
      }
      expect(await registers('1011', 'a-new-one')).toBe(200);
      expect(await registers('1003', 'demo-1003')).toBe(200);
      expect(await installation.twinline('apply', path.join(scratch, 'next'))).toMatchObject({
        changed: false,
        number,
      });
    });
  });
});
