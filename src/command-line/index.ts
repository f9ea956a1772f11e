// What every subcommand shares: flags and their values, help, errors and exit codes, colours, the end of a run.

import * as flag from "./flags.ts";

export { CATALOGUE, type CommandName, visibleCommands } from "./catalogue.ts";
export type { LoadSubcommand } from "./completion/description.ts";
export { completionScript } from "./completion/script.ts";
export { formatDurationMs, parseDurationMs } from "./duration.ts";
export { type AgentEndpoint, type Endpoint, parseAgent, parseEndpoint } from "./endpoint.ts";
export { CliError, UsageError } from "./errors.ts";
export { Faults } from "./faults.ts";
export { LONGEST_TIMER_MS } from "./flags.ts";
export { renderCommandHelp, renderRootHelp } from "./help.ts";
export { parseHostName } from "./host-name.ts";
export { parseInteger } from "./integer.ts";
export { unknownFlag } from "./parse.ts";
export { describeError } from "./report.ts";
export { finishing, once, onHangUp, sayEndBy, stopSignal } from "./stop.ts";
export { styleFor } from "./style.ts";
export { defineSubcommand, type Subcommand } from "./subcommand.ts";
/** Makers of flags: `flag.duration({ … })`. */
export { flag };
