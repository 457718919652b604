import type { DtlsContext, DtlsSession } from '../../src/native/index.ts';
import { dtlsLibrary } from '../../src/native/index.ts';
import { makeIdentity, type TestIdentity, talk } from '../support/dtls-peer.ts';
import { type FuzzTarget, mustHold } from './target.ts';

interface Ends {
  readonly context: DtlsContext;
  readonly identity: TestIdentity;
  /** Of an association that is up. */
  readonly client: DtlsSession;
  readonly server: DtlsSession;
}

let ends: Ends | undefined;

/** Made at first use: it costs a certificate. */
function theEnds(): Ends {
  if (ends !== undefined) return ends;
  const identity = makeIdentity();
  const context = dtlsLibrary()!.newContext(identity);
  identity.remove();
  const [client, server] = [open(context, identity, 'client'), open(context, identity, 'server')];
  client.start();
  talk(client, server);
  ends = { context, identity, client, server };
  return ends;
}

function open(context: DtlsContext, identity: TestIdentity, role: 'client' | 'server', cookieFor?: string) {
  return context.open({ role, fingerprints: [identity.sha256], ...(cookieFor && { cookieFor }) });
}

/** Every flight of a handshake, with a cookie and without. */
function dtlsSeeds(): Uint8Array[] {
  const { context, identity } = theEnds();
  const seeds: Uint8Array[] = [];
  for (const cookie of [undefined, 'somewhere']) {
    const client = open(context, identity, 'client');
    const server = open(context, identity, 'server', cookie);
    client.start();
    for (let said = client.takeDatagrams(), to = server; said.length > 0; ) {
      seeds.push(...said);
      for (const datagram of said) to.receive(datagram, datagram.length);
      said = to.takeDatagrams();
      to = to === server ? client : server;
    }
    client.free();
    server.free();
  }
  return seeds;
}

/** More than a server's first flight is never said to one datagram of a stranger. */
const MOST_SAID = 4096;

/** A datagram as DTLS, to both roles before and after their handshake. */
export function checkDtls(input: Uint8Array): void {
  const { context, identity, client, server } = theEnds();
  const fresh = [
    open(context, identity, 'client'),
    open(context, identity, 'server'),
    open(context, identity, 'server', 'somewhere'),
  ];
  fresh[0]!.start();
  for (const session of fresh) {
    session.takeDatagrams();
    session.receive(input, input.length);
    session.receive(input, input.length);
    const said = session.takeDatagrams().reduce((sum, { length }) => sum + length, 0);
    mustHold(said <= MOST_SAID, 'a datagram is not answered by many');
    mustHold(session.state !== 'connected' && session.keys() === undefined, 'no keys without a handshake');
    mustHold((session.state === 'failed') === (session.problem !== ''), 'a failure has a reason');
    session.free();
  }
  for (const session of [client, server]) {
    session.receive(input, input.length);
    session.takeDatagrams();
    mustHold(session.state === 'connected', 'nobody but the peer ends an association');
  }
}

export const dtlsTargets: readonly FuzzTarget[] = [{ name: 'native-dtls', seeds: dtlsSeeds, run: checkDtls }];
