import type { AccountId, FlowId, UserId } from '../base/index.ts';
import type { Flow } from '../link/index.ts';

export interface BindingPlace {
  readonly account: AccountId;
  readonly user: UserId;
  readonly id: string;
}

const FLOWS_KEPT = 100_000;
const PLACES_PER_FLOW = 100;

/** Which bindings were registered over which connection. UDP has no connections that end, so nothing is kept for it. */
export class FlowBindings {
  readonly #places = new Map<FlowId, Map<string, BindingPlace>>();

  add(flow: Flow, place: BindingPlace): void {
    if (flow.transport === 'udp') return;
    let places = this.#places.get(flow.id);
    if (places === undefined) {
      places = new Map();
      this.#places.set(flow.id, places);
      if (this.#places.size > FLOWS_KEPT) this.#places.delete(this.#places.keys().next().value!);
    }
    if (places.size < PLACES_PER_FLOW) places.set(`${place.account} ${place.user} ${place.id}`, place);
  }

  take(flow: FlowId): BindingPlace[] {
    const places = this.#places.get(flow);
    this.#places.delete(flow);
    return [...(places?.values() ?? [])];
  }
}
