/** A mistake in a file that a person wrote: where it is and one sentence that says what to do. */
export interface Problem {
  readonly file: string;
  /** From 1; 0 when the file as a whole is meant. */
  readonly line: number;
  readonly message: string;
}

/** `config/demo/users.yaml:14: extension "1003" is held by …` */
export function describeProblem(problem: Problem): string {
  return problem.line > 0
    ? `${problem.file}:${problem.line}: ${problem.message}`
    : `${problem.file}: ${problem.message}`;
}
