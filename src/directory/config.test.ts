import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { seededRandom } from '../base/index.ts';
import { describeProblem, hasDemoPassword, readAccountConfig, replaceDemoPasswords } from './index.ts';

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'twinline-config-'));
});
afterAll(() => rm(dir, { recursive: true }));

async function problemsOf(...files: string[]): Promise<string[]> {
  const folder = await mkdtemp(join(dir, 'c-'));
  for (const [index, text] of files.entries()) await writeFile(join(folder, `${index + 1}.yaml`), text);
  const read = await readAccountConfig(folder);
  return read.ok ? [] : read.error.map((problem) => describeProblem(problem).replaceAll(`${folder}/`, ''));
}

const HEAD = `account: demo
domains: [demo.test]
sites:
  - { id: main, name: Main, code: 81, extensions: 1000-1999 }
`;

describe('the demo configuration', () => {
  test('has two sites and ten users whose SIP user name is the extension', async () => {
    const read = await readAccountConfig('config/demo');
    if (!read.ok) throw new Error(read.error.map(describeProblem).join('\n'));
    const { sites, users, devices, domains } = read.value;
    expect(sites).toHaveLength(2);
    expect(users.map((user) => user.extension)).toEqual(
      Array.from({ length: 10 }, (_, i) => String(1001 + i)),
    );
    expect(devices.map((device) => device.sipUser)).toEqual(users.map((user) => user.extension));
    expect(domains).toEqual(['demo.twinline.test']);
    expect(devices.every((device) => device.digestAlgorithms.join() === 'MD5')).toBe(true);
    expect(users[0]!.ring).toEqual({ mode: 'all', maxWaitSec: 30 });
  });

  test('keeps no password, only the hash that its challenges ask for', async () => {
    const read = await readAccountConfig('config/demo');
    const text = JSON.stringify(read);
    expect(text).not.toContain('demo-1001');
    // printf '1001:demo.twinline.test:demo-1001' | md5sum
    expect(text).toContain('"ha1":{"md5":"c75e1d72bb5404fc41d69ca12b16d20a"}');
  });

  test('has passwords that are known to everybody, which are replaced by random ones where others can reach us', async () => {
    const read = await readAccountConfig('config/demo');
    if (!read.ok) throw new Error();
    expect(read.value.devices.every(hasDemoPassword)).toBe(true);
    const { draft, passwords } = replaceDemoPasswords(read.value, seededRandom(1));
    expect(passwords.map(({ sipUser }) => sipUser)).toEqual(draft.devices.map(({ sipUser }) => sipUser));
    expect(draft.devices.some(hasDemoPassword)).toBe(false);
    expect(new Set(passwords.map(({ password }) => password)).size).toBe(10);
    expect(replaceDemoPasswords(draft, seededRandom(2))).toEqual({ draft, passwords: [] });
  });
});

describe('mistakes', () => {
  test('three mistakes of different kinds are three lines', async () => {
    expect(
      await problemsOf(`${HEAD}users:
  - { extension: 1001, name: Ada, site: main, password: x }
  - { extension: 1001, name: Bob, site: main, password: x }
  - { extension: 1002, name: Cyd, site: nowhere, password: x }
  - { extension: 1003, name: Dan, site: main, password: x, media: desk-512 }
`),
    ).toEqual([
      '1.yaml:7: extension 1001 of site "main" is given to both "Ada" (1.yaml:6) and "Bob": give one of them another',
      '1.yaml:8: user "Cyd" names site "nowhere", which is not among the sites (main)',
      '1.yaml:9: "media" must be app, browser, desk-128, desk-256, trunk or plain, not "desk-512"',
    ]);
  });

  test('a wrong type, an unknown key and a missing one', async () => {
    expect(
      await problemsOf(`${HEAD}users:
  - extension: 10a4
    name: Ada
    site: main
    pasword: x
    ring:
      max-wait-sec: soon
  - just text
  - { name: Bob, site: main, password: x }
`),
    ).toEqual([
      '1.yaml:6: "extension" must be 1 to 10 digits, not "10a4"',
      '1.yaml:6: user "Ada" has no "password" (nor "ha1-md5", "ha1-sha256"), so no phone could register',
      '1.yaml:9: "pasword" is not a setting here',
      '1.yaml:11: "max-wait-sec" must be a whole number from 5 to 60, not "soon"',
      '1.yaml:12: entry 2 of "users" must be a list of settings (key: value), not "just text"',
      '1.yaml:13: "extension" is missing',
    ]);
  });

  test('in several files, each named in its own', async () => {
    expect(
      await problemsOf(
        HEAD,
        'users:\n  - { extension: 1001, name: Ada, site: main, password: x }\n',
        'account: other\nusers:\n  - { extension: 2001, name: Bob, site: main, password: x }\n  - { extension: 1002, name: Cyd, site: main, password: x, sip-user: 1001 }\n',
      ),
    ).toEqual([
      '3.yaml:1: "account" was already given in 1.yaml',
      '3.yaml:3: extension 2001 of "Bob" is outside the range 1000-1999 of site "main"',
      '3.yaml:4: SIP user name 1001 belongs to both "Ada" (2.yaml:2) and "Cyd": give one of them a "sip-user" of its own',
    ]);
  });

  test('text that is not YAML, and a list where none may be', async () => {
    expect(await problemsOf('account: [demo\n')).toEqual([
      expect.stringMatching(/^1\.yaml:2: this is not valid YAML: /),
    ]);
    expect(await problemsOf('- a\n- b\n')).toEqual([
      '1.yaml:1: the file must be a list of settings (key: value)',
    ]);
  });

  test('an alias bomb is refused', async () => {
    const bomb = `a: &a [x,x,x,x,x,x,x,x,x]\n${'bcdefghi'
      .split('')
      .map((name, at) => `${name}: &${name} [${Array(9).fill(`*${'abcdefgh'[at]}`).join(',')}]`)
      .join('\n')}\n`;
    expect((await problemsOf(bomb))[0]).toContain('cannot be read');
  });

  test('a file that is not there', async () => {
    const read = await readAccountConfig(join(dir, 'none'));
    expect(read.ok ? '' : read.error.map(describeProblem)).toEqual([
      `${join(dir, 'none')}: there is no such file or directory`,
    ]);
  });

  test('a phone without SRTP at a site that requires it', async () => {
    expect(
      await problemsOf(`${HEAD.replace('1000-1999 }', '1000-1999, require-media-encryption: yes }')}users:
  - { extension: 1001, name: Ada, site: main, password: x, media: plain }
`),
    ).toEqual([
      '1.yaml:6: user "Ada" has media profile plain, but site "main" requires encryption: all calls would be refused',
    ]);
  });

  test('a site has one of three policies of end-to-end encryption', async () => {
    const policy = (text: string): string =>
      HEAD.replace('1000-1999 }', `1000-1999, end-to-end-encryption: ${text} }`);
    expect(await problemsOf(policy('perhaps'))).toEqual([
      '1.yaml:4: "end-to-end-encryption" must be refused, allowed or required, not "perhaps"',
    ]);
    const folder = await mkdtemp(join(dir, 'c-'));
    const user = 'users:\n  - { extension: 1001, name: Ada, site: main, password: x }\n';
    await writeFile(join(folder, '1.yaml'), `${policy('required')}${user}`);
    const read = await readAccountConfig(folder);
    expect(read.ok && read.value.sites.map(({ endToEnd }) => endToEnd)).toEqual(['required']);
  });

  test('a site has music on hold, a file or none, and may leave it to its users', async () => {
    const music = (text: string): string => HEAD.replace('1000-1999 }', `1000-1999, ${text} }`);
    const because = 'must be the name of a file below the folder of assets, such as music/waltz.mp3, or none';
    for (const name of ['../secret.wav', '/etc/passwd', 'a//b.wav', './b.wav', 'a/..'])
      expect(await problemsOf(music(`hold-music: ${name}`)), name).toEqual([
        `1.yaml:4: "hold-music" ${because}, not "${name}"`,
      ]);
    const folder = await mkdtemp(join(dir, 'm-'));
    const user =
      'users:\n  - { extension: 1001, name: Ada, site: main, password: x, hold-music: ada..1.mp3 }\n';
    const site = music('hold-music: music/waltz.mp3, personal-hold-music: yes');
    await writeFile(join(folder, '1.yaml'), `${site}${user}`);
    const read = await readAccountConfig(folder);
    expect(read.ok && read.value.sites).toMatchObject([
      { holdMusic: 'music/waltz.mp3', personalHoldMusic: true },
    ]);
    expect(read.ok && read.value.users).toMatchObject([{ holdMusic: 'ada..1.mp3' }]);
  });

  test('several devices need names and SIP users of their own', async () => {
    expect(
      await problemsOf(`${HEAD}users:
  - extension: 1001
    name: Ada
    site: main
    devices:
      - { name: desk, sip-user: ada-desk, password: x }
      - { name: desk, password: x }
`),
    ).toEqual([
      '1.yaml:11: user "Ada" has two devices named "desk"',
      '1.yaml:11: user "Ada" has several devices, so each needs a "sip-user" of its own',
    ]);
  });
});
