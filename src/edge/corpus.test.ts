import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { EdgeBench, phoneFlow } from '../../test/support/edge-core.ts';
import { parseMessage, validateRequest } from '../sip/index.ts';

const CORPUS = process.env['TWINLINE_CORPUS'] ?? join(import.meta.dirname, '../../../shared/corpus');
const files = ['rfc4475', 'rfc5118'].flatMap((rfc) =>
  existsSync(join(CORPUS, rfc)) ? readdirSync(join(CORPUS, rfc)).map((file) => join(rfc, file)) : [],
);

/** What the edge does with one datagram. */
async function outcomeOf(bytes: Uint8Array): Promise<'passed' | 'silence' | number> {
  const bench = new EdgeBench();
  const a1 = bench.switch('a1', 'a');
  await bench.pass();
  bench.core.receive(phoneFlow(), bytes);
  await bench.pass();
  if (a1.got.length > 0) return 'passed';
  return bench.toClients.length === 0 ? 'silence' : Number(bench.toClients[0]!.text.split(' ', 2)[1]);
}

describe.skipIf(files.length === 0)('the torture messages of RFC 4475 and RFC 5118', () => {
  test.each(files)(
    '%s: a sound request reaches a switch, a response to nothing of ours meets silence',
    async (file) => {
      const bytes = readFileSync(join(CORPUS, file));
      const parsed = parseMessage(bytes);
      const outcome = await outcomeOf(bytes);
      const message = parsed.ok ? parsed.message : undefined;
      if (message?.kind === 'response') expect(outcome).toBe('silence');
      else if (message && validateRequest(message) === undefined) expect(outcome).toBe('passed');
      // What the edge does not see to be unsound, the switch refuses.
      else expect(outcome).toSatisfy((one) => one === 'passed' || one === 'silence' || Number(one) >= 400);
    },
  );

  test.runIf(files.includes('rfc4475/badvers.dat'))('an unknown version is answered by 505', async () => {
    expect(await outcomeOf(readFileSync(join(CORPUS, 'rfc4475/badvers.dat')))).toBe(505);
  });
});
