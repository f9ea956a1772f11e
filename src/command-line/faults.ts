// Uncaught errors and the runtime's warnings: printed as everything else is, in one line and without source.

import { describeError, errorLine, logLine } from "./report.ts";
import { styleFor } from "./style.ts";

/** Prints errors on stderr, and sets the exit code. */
export class Faults {
  /** @param isJson every line is one of JSON, whatever happens */
  constructor(readonly isJson: boolean) {}

  /** The program, or its subcommand, has failed. */
  tell(error: unknown): void {
    const { text, exitCode } = describeError(error, styleFor(process.stderr));
    process.stderr.write(this.isJson ? errorLine(error) : text);
    process.exitCode = exitCode;
  }

  /** Takes errors that no await catches. They end the program, as they do without this. */
  watch(): void {
    const end = (error: unknown) => {
      this.tell(error);
      process.exit();
    };
    process.on("uncaughtException", end);
    process.on("unhandledRejection", end);
    if (!this.isJson) return;
    // Bun writes warnings as text even if there is a listener for them.
    process.emitWarning = (warning: string | Error) => {
      const message = warning instanceof Error ? warning.message : warning;
      process.stderr.write(logLine("warn", message));
    };
  }
}
