/** Something that takes bytes from the network, and what must hold of it for any bytes at all. */
export interface FuzzTarget {
  /** `room-part`: `sip-message`. */
  readonly name: string;
  /** Sound inputs to begin from. */
  seeds(): readonly Uint8Array[];
  /** Feeds the input. Throws if the code under test throws or a property is broken. */
  run(input: Uint8Array): void;
}

export function mustHold(condition: boolean, property: string): asserts condition {
  if (!condition) throw new Error(`broken: ${property}`);
}
