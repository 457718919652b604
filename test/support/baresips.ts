import { Baresip, type BaresipOptions } from './baresip.ts';
import type { Installation } from './installation.ts';

/** The baresips of one test, registered at an installation that other tests use too. */
export class Baresips {
  readonly #at: () => Installation;
  readonly #running: Baresip[] = [];

  constructor(at: () => Installation) {
    this.#at = at;
  }

  async start(user: string, toneHz: number, options: Partial<BaresipOptions> = {}): Promise<Baresip> {
    const server = { address: '127.0.0.1', port: this.#at().port(options.transport ?? 'udp') };
    const phone = await Baresip.start({ user, toneHz, server, ...options });
    this.#running.push(phone);
    return phone;
  }

  /** For `afterEach`. SIGTERM makes them unregister. */
  async leave(): Promise<void> {
    await Promise.all(this.#running.splice(0).map((phone) => phone.stop()));
  }
}
