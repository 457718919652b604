import { execFileSync } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { ROOT } from './installation.ts';
import { findProgram, freePort, Peer, TemporaryDirectory, udpPortTaken } from './peer.ts';

export interface EdgePorts {
  readonly udp: number;
  readonly tcp: number;
  readonly tls: number;
  readonly ws: number;
  readonly wss: number;
}

/** Debian's kamailio with the project's own configuration, in front of an installation's doors. Ended by its pid. */
export class KamailioEdge {
  /** TLS and WebSocket are packages of their own. */
  static readonly missing = missingModules();
  readonly ports: EdgePorts;
  readonly #peer: Peer;
  readonly #files: TemporaryDirectory;

  static async start(
    doors: readonly { readonly address: string; readonly port: number }[],
  ): Promise<KamailioEdge> {
    const files = new TemporaryDirectory('twinline-kamailio');
    const [udp, tls, ws, wss, inside] = [
      await freePort(),
      await freePort(),
      await freePort(),
      await freePort(),
      await freePort(),
    ];
    const edge = new KamailioEdge(files, { udp, tcp: udp, tls, ws, wss }, inside, doors);
    try {
      await udpPortTaken(inside, edge.#peer);
      if (!edge.#peer.running) throw new Error('it ended at once');
    } catch (error) {
      await edge.stop();
      throw new Error(`kamailio did not start: ${String(error)}\n${edge.log.slice(-3_000)}`);
    }
    return edge;
  }

  private constructor(
    files: TemporaryDirectory,
    ports: EdgePorts,
    inside: number,
    doors: readonly { readonly address: string; readonly port: number }[],
  ) {
    this.ports = ports;
    this.#files = files;
    const at = (name: string) => path.join(files.path, name);
    execFileSync(
      'openssl',
      [
        ...[
          'req',
          '-x509',
          '-newkey',
          'ec',
          '-pkeyopt',
          'ec_paramgen_curve:prime256v1',
          '-nodes',
          '-days',
          '2',
        ],
        ...['-subj', '/CN=edge.test', '-keyout', at('edge.key'), '-out', at('edge.crt')],
      ],
      { stdio: 'ignore' },
    );
    writeFileSync(
      at('tls.cfg'),
      `[server:default]\nmethod = TLSv1.2+\nprivate_key = ${at('edge.key')}\ncertificate = ${at('edge.crt')}\n`,
    );
    writeFileSync(at('doors.list'), doors.map(({ address, port }) => `1 sip:${address}:${port}\n`).join(''));
    const defines = {
      PHONES_UDP: `udp:127.0.0.1:${ports.udp}`,
      PHONES_TCP: `tcp:127.0.0.1:${ports.tcp}`,
      PHONES_TLS: `tls:127.0.0.1:${ports.tls}`,
      PHONES_WS: `tcp:127.0.0.1:${ports.ws}`,
      PHONES_WSS: `tls:127.0.0.1:${ports.wss}`,
      INSIDE: `udp:127.0.0.1:${inside}`,
      DOORS: `"${at('doors.list')}"`,
      TLS_CONFIG: `"${at('tls.cfg')}"`,
    };
    this.#peer = new Peer(
      Kamailio.program ?? 'kamailio',
      [
        ...['-f', path.join(ROOT, 'sip-zones/kamailio/kamailio.cfg'), '-DD', '-E', '-Y', files.path],
        ...['-w', files.path, '-m', '64', '-M', '8'],
        ...Object.entries(defines).flatMap(([name, value]) => ['-A', `${name}=${value}`]),
      ],
      { cwd: files.path, stdio: ['ignore', 'pipe', 'pipe'] },
    );
  }

  get log(): string {
    return this.#peer.output;
  }

  /** Its main process ends its workers. */
  async stop(): Promise<void> {
    await this.#peer.stop(5_000);
    this.#files.remove();
  }
}

function missingModules(): string | undefined {
  const program = findProgram('kamailio');
  if (program === undefined) return 'kamailio';
  const directories = [
    '/usr/lib/x86_64-linux-gnu/kamailio/modules',
    '/usr/lib/aarch64-linux-gnu/kamailio/modules',
  ];
  return ['tls', 'websocket'].find(
    (name) => !directories.some((directory) => existsSync(path.join(directory, `${name}.so`))),
  );
}

/**
 * Debian's kamailio as an outbound proxy: it puts itself into Path (RFC 3327) and Record-Route, and passes on what phones send to one
 * server, and what that sends to the phones. Ended by its pid.
 */
export class Kamailio {
  static readonly program = findProgram('kamailio');
  readonly port: number;
  readonly #peer: Peer;
  readonly #files: TemporaryDirectory;

  static async start(server: { readonly address: string; readonly port: number }): Promise<Kamailio> {
    const proxy = new Kamailio(server, await freePort());
    try {
      await udpPortTaken(proxy.port, proxy.#peer);
      if (!proxy.#peer.running) throw new Error('it ended at once');
    } catch (error) {
      await proxy.stop();
      throw new Error(`kamailio did not start: ${String(error)}\n${proxy.log.slice(-3_000)}`);
    }
    return proxy;
  }

  private constructor(server: { readonly address: string; readonly port: number }, port: number) {
    this.port = port;
    this.#files = new TemporaryDirectory('twinline-kamailio');
    const config = path.join(this.#files.path, 'kamailio.cfg');
    writeFileSync(config, configuration(server, port));
    this.#peer = new Peer(
      Kamailio.program ?? 'kamailio',
      ['-f', config, '-DD', '-E', '-Y', this.#files.path, '-w', this.#files.path, '-m', '32', '-M', '8'],
      { cwd: this.#files.path, stdio: ['ignore', 'pipe', 'pipe'] },
    );
  }

  get log(): string {
    return this.#peer.output;
  }

  /** Its main process ends its workers. */
  async stop(): Promise<void> {
    await this.#peer.stop(5_000);
    this.#files.remove();
  }
}

const configuration = (server: { readonly address: string; readonly port: number }, port: number): string => `
debug=1
log_stderror=yes
children=2
disable_tcp=yes
auto_aliases=no
listen=udp:127.0.0.1:${port}
loadmodule "tm.so"
loadmodule "tmx.so"
loadmodule "sl.so"
loadmodule "rr.so"
loadmodule "pv.so"
loadmodule "maxfwd.so"
loadmodule "textops.so"
loadmodule "siputils.so"
loadmodule "path.so"

request_route {
  if (!mf_process_maxfwd_header("10")) {
    sl_send_reply("483", "Too Many Hops");
    exit;
  }
  if (is_method("CANCEL")) {
    if (t_check_trans()) t_relay();
    exit;
  }
  if (is_method("ACK") && !has_totag()) {
    if (t_check_trans()) t_relay();
    exit;
  }
  t_check_trans();
  if (has_totag()) {
    # In a dialog, or the ACK of a refusal.
    if (loose_route()) t_relay();
    else if (is_method("ACK")) { if (t_check_trans()) t_relay(); }
    else sl_send_reply("404", "Not Here");
    exit;
  }
  if (is_method("REGISTER")) {
    add_path();
    $du = "sip:${server.address}:${server.port}";
    t_relay();
    exit;
  }
  record_route();
  if ($si == "${server.address}" && $sp == ${server.port}) {
    # From the server: the Path comes back as Route, behind it stands the phone's own contact.
    loose_route();
    t_relay();
    exit;
  }
  $du = "sip:${server.address}:${server.port}";
  t_relay();
}
`;
