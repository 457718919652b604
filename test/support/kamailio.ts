import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { findProgram, freePort, Peer, TemporaryDirectory, udpPortTaken } from './peer.ts';

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
