import type { Installation } from './installation.ts';
import type { Phone } from './phone.ts';
import { registeredPhone, type UserPhoneOptions } from './talk.ts';

/** The phones of one test, which leave nothing at an installation that other tests use too: no call, no registration. */
export class Crowd {
  readonly #at: () => Installation;
  readonly #phones: Phone[] = [];

  constructor(at: () => Installation) {
    this.#at = at;
  }

  async phone(user: string, options: UserPhoneOptions = {}): Promise<Phone> {
    const phone = await registeredPhone(this.#at(), user, options);
    this.#phones.push(phone);
    return phone;
  }

  /** For `afterEach`. */
  async leave(): Promise<void> {
    await Promise.all(
      this.#phones.splice(0).map(async (phone) => {
        try {
          await Promise.all(phone.activeCalls.map((call) => call.hangUp()));
          await phone.unregister();
        } finally {
          await phone.close();
        }
      }),
    );
  }
}
