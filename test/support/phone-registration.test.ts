import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeAll, describe, expect, test } from 'vitest';
import { systemClock } from '../../src/native/index.ts';
import {
  authorizationsOf,
  contactsOf,
  createResponse,
  digestChallenge,
  hashHa1,
  header,
  numberOf,
  outboundOf,
  parseMessage,
  RFC_TIMES,
  type SipHeader,
  type SipRequest,
  verifyDigest,
} from '../../src/sip/index.ts';
import { Phone, type PhoneOptions } from './phone.ts';
import { PhoneTransactions } from './phone-transactions.ts';
import { type Endpoint, type PhoneFlow, PhoneTransport, type PhoneTransportName } from './phone-transport.ts';

const open: { close(): Promise<void> }[] = [];
afterEach(async () => {
  await Promise.all(open.splice(0).map((one) => one.close()));
});

let certificate: { key: string; cert: string };
beforeAll(() => {
  const directory = mkdtempSync(path.join(tmpdir(), 'phone-test-'));
  const [key, cert] = [path.join(directory, 'key.pem'), path.join(directory, 'cert.pem')];
  const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=IP:127.0.0.1'];
  const kind = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '1'];
  execFileSync('openssl', ['req', '-x509', ...kind, '-keyout', key, '-out', cert, ...subject], {
    stdio: 'ignore',
  });
  certificate = { key: readFileSync(key, 'utf8'), cert: readFileSync(cert, 'utf8') };
  rmSync(directory, { recursive: true });
});

/** The other side of a registration: challenges, checks the digest by its own half of the code, keeps what it granted. */
class Registrar {
  readonly flows = new Set<PhoneFlow>();
  readonly granted: {
    instanceId?: string;
    regId?: number;
    contact: string;
    expiresSec: number;
    port: number;
  }[] = [];
  readonly requests: SipRequest[] = [];
  /** Added to every 200. */
  headers: SipHeader[] = [];
  grantSec: number | undefined;
  /** The next challenge that follows right credentials says that the nonce is stale. */
  staleOnce = false;
  address!: Endpoint;
  readonly #transport: PhoneTransport;
  readonly #transactions: PhoneTransactions;
  #nonces = 0;

  static async open(transport: PhoneTransportName): Promise<Registrar> {
    const registrar = new Registrar(transport);
    await registrar.#transport.open();
    registrar.address = await registrar.#transport.listen(certificate);
    open.push(registrar);
    return registrar;
  }

  private constructor(transport: PhoneTransportName) {
    this.#transactions = new PhoneTransactions(systemClock, RFC_TIMES, {
      request: (incoming) => incoming.respond(this.#answer(incoming.request, incoming.flow)),
      unacknowledged() {},
      stray() {},
    });
    this.#transport = new PhoneTransport(
      { transport, bind: '127.0.0.1' },
      {
        message: (bytes, flow) => {
          this.flows.add(flow);
          const parsed = parseMessage(bytes);
          if (parsed.ok && parsed.message.kind === 'request')
            this.#transactions.receiveRequest(parsed.message, flow);
        },
        pong() {},
        closed: (flow) => this.flows.delete(flow),
      },
    );
  }

  async close(): Promise<void> {
    this.#transactions.close();
    await this.#transport.close();
  }

  #answer(request: SipRequest, flow: PhoneFlow) {
    this.requests.push(request);
    const [authorization] = authorizationsOf(request, 'Authorization');
    const ha1 = hashHa1('1001', 'example.com', 'secret', 'MD5');
    const right =
      authorization !== undefined &&
      verifyDigest({ authorization, method: 'REGISTER', ha1, body: '', uri: request.uri });
    if (!right || this.staleOnce) {
      const nonce = `nonce${++this.#nonces}`;
      const stale = right && this.staleOnce;
      if (stale) this.staleOnce = false;
      const challenges = digestChallenge({ realm: 'example.com', nonce, algorithms: ['MD5'], stale });
      return createResponse(request, 401, {
        toTag: 'r',
        headers: challenges.map((value) => ({ name: 'WWW-Authenticate', value })),
      });
    }
    const contacts: SipHeader[] = [];
    for (const contact of contactsOf(request)) {
      const expiresSec = Math.min(numberOf(request, 'Expires') ?? 3600, this.grantSec ?? 3600);
      this.granted.push({
        ...outboundOf(contact.params),
        contact: contact.uri,
        expiresSec,
        port: flow.remote.port,
      });
      if (expiresSec > 0) contacts.push({ name: 'Contact', value: `<${contact.uri}>;expires=${expiresSec}` });
    }
    return createResponse(request, 200, { toTag: 'r', headers: [...contacts, ...this.headers] });
  }
}

async function phoneAt(
  registrars: readonly Registrar[],
  options: Partial<PhoneOptions> = {},
): Promise<Phone> {
  const phone = await Phone.open({
    user: '1001',
    domain: 'example.com',
    password: 'secret',
    servers: registrars.map(({ address }) => address),
    ...options,
  });
  open.push(phone);
  return phone;
}

describe.each(['udp', 'tcp', 'tls', 'ws', 'wss'] as const)('over %s', (transport) => {
  test('a phone registers by digest, is refreshed, and removes itself', async () => {
    const registrar = await Registrar.open(transport);
    registrar.grantSec = 1;
    const phone = await phoneAt([registrar], { transport, ca: certificate.cert });
    const [response] = await phone.register();
    expect(response?.status).toBe(200);
    expect(phone.registrations[0]?.expiresSec).toBe(1);
    const via = header(registrar.requests[0]!, 'Via');
    expect(via).toMatch(new RegExp(`^SIP/2.0/${transport.toUpperCase()} `));
    if (transport.startsWith('ws'))
      expect(registrar.granted[0]?.contact).toMatch(/\.phones\.example;transport=ws$/);
    // Refreshed before the second is over, over the same flow.
    await phone.message((message) => message.kind === 'response' && message.status === 200, {
      what: 'the 200 to the refresh',
      from: phone.received.next,
    });
    expect(phone.registrations[0]?.refreshes).toBe(1);
    expect(new Set(registrar.granted.map(({ port }) => port)).size).toBe(1);
    await phone.unregister();
    expect(registrar.granted.at(-1)?.expiresSec).toBe(0);
  });

  test('two phones call each other', async () => {
    const bob = await Phone.open({ user: 'bob', domain: 'example.com', transport });
    open.push(bob);
    await bob.listen(certificate);
    const ann = await Phone.open({ user: 'ann', domain: 'example.com', transport, ca: certificate.cert });
    open.push(ann);
    const { address, port } = bob.transport.listening!;
    const call = await ann.call(`sip:bob@${address}:${port};transport=${transport}`);
    await call.answered();
    const incoming = await bob.incoming();
    await incoming.acknowledged();
    // Requests in the dialog use its flow in both directions: ann listens nowhere.
    expect((await incoming.hold()).status).toBe(200);
    expect((await call.info('1')).status).toBe(200);
    await incoming.bye();
    expect(await call.ended()).toMatchObject({ by: 'peer', how: 'bye' });
  });
});

describe('registering', () => {
  test('a wrong password is tried once, not for ever', async () => {
    const registrar = await Registrar.open('udp');
    const phone = await phoneAt([registrar], { password: 'wrong' });
    await expect(phone.register()).rejects.toThrow('1001 was not registered: 401');
    expect(registrar.requests).toHaveLength(2);
  });

  test('a stale nonce is answered again', async () => {
    const registrar = await Registrar.open('udp');
    registrar.staleOnce = true;
    const phone = await phoneAt([registrar]);
    await phone.register();
    expect(registrar.requests).toHaveLength(3);
  });

  test('outbound: a flow to each of two edges, the same instance, reg-id 1 and 2 (RFC 5626)', async () => {
    const [first, second] = [await Registrar.open('tcp'), await Registrar.open('tcp')];
    const instanceId = 'urn:uuid:00000000-0000-1000-8000-000a95a0e128';
    const phone = await phoneAt([first, second], { transport: 'tcp', instanceId });
    await phone.register();
    expect(first.granted[0]).toMatchObject({ instanceId: `<${instanceId}>`, regId: 1 });
    expect(second.granted[0]).toMatchObject({ instanceId: `<${instanceId}>`, regId: 2 });
  });

  test('a flow that ends is opened anew and registered again', async () => {
    const registrar = await Registrar.open('tcp');
    const phone = await phoneAt([registrar], { transport: 'tcp', recoverAfterMs: 10 });
    await phone.register();
    for (const flow of registrar.flows) flow.destroy();
    await phone.flowEvents.first('the recovery', (event) => event === 'recovered', { waitMs: 5000 });
    const ports = registrar.granted.map(({ port }) => port);
    expect(ports).toHaveLength(2);
    expect(ports[0]).not.toBe(ports[1]);
  });

  test.each(['tcp', 'ws'] as const)('keep-alives over %s are answered', async (transport) => {
    const registrar = await Registrar.open(transport);
    registrar.headers = [{ name: 'Flow-Timer', value: '120' }];
    const phone = await phoneAt([registrar], { transport, keepAliveMs: 10, instanceId: 'urn:uuid:1' });
    let pongs = 0;
    await phone.register();
    const [registration] = phone.registrations;
    const counted = new Promise<void>((resolve) => {
      const pong = registration!.pong.bind(registration);
      registration!.pong = () => {
        pong();
        if (++pongs === 3) resolve();
      };
    });
    await counted;
    expect(registration?.flow.closed).toBe(false);
  });

  test('no server where one should be: the reason names the address', async () => {
    const phone = await Phone.open({
      user: '1001',
      domain: 'example.com',
      transport: 'tcp',
      servers: [{ address: '127.0.0.1', port: 9 }],
    });
    open.push(phone);
    await expect(phone.register()).rejects.toThrow(/no tcp connection to 127\.0\.0\.1:9: .*ECONNREFUSED/);
  });
});
