/** A failure that a person must hear of: what was wrong, where, and what to do, in one sentence. */
export class TwinlineError extends Error {
  /** Stable, lower case with underscores: `port_in_use`, `config_invalid`. */
  readonly code: string;

  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'TwinlineError';
    this.code = code;
  }
}
