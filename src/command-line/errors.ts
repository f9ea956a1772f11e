// The two errors a command throws on purpose. Everything else that reaches the top is a defect
// or a failure of the system; `report.ts` prints all of them.

/** What a failure tells the person who reads it. */
interface CliErrorDetails {
  /** What was asked and what is wrong, as one sentence without a full stop. */
  readonly message: string;
  /** What to do about it. */
  readonly hint?: string | undefined;
  /** 1 for failure (default), 2 for wrong usage. */
  readonly exitCode?: number | undefined;
  readonly cause?: unknown;
}

/** A failure with an explanation and an exit code. */
export class CliError extends Error {
  readonly hint: string | undefined;
  readonly exitCode: number;

  constructor(details: CliErrorDetails) {
    super(details.message, { cause: details.cause });
    this.name = "CliError";
    this.hint = details.hint;
    this.exitCode = details.exitCode ?? 1;
  }
}

/** Wrong usage: an unknown flag, a missing or bad value. Exit code 2. */
export class UsageError extends CliError {
  constructor(message: string, hint?: string) {
    super({ message, hint, exitCode: 2 });
    this.name = "UsageError";
  }
}
