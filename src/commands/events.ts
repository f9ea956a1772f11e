// `microview events`: `tail` follows what services record in shared memory, as text or NDJSON, and needs no agent; `set`
// asks an agent what they are to record.

import { defineSubcommand, flag, styleFor, UsageError } from "../command-line/index.ts";
import { LEVELS } from "../layout/index.ts";
import { SETTINGS_FLAGS, setEvents, showSettings } from "./events/settings.ts";

/** Which flags go with an action. */
const FLAGS_OF = {
  tail: ["app", "service", "level", "grep", "once", "poolDir", "json"],
  set: [
    ...["app", "service", "level", "spans", "measures", "sample", "for", "reset"],
    ...["socket", "agent", "tokenFile", "ca"],
  ],
  settings: ["socket", "agent", "tokenFile", "ca", "json"],
} as const;

export default defineSubcommand("events", {
  description:
    "tail reads the rings in which services of this host record logs, measures and spans: shows what is there, also of services that have died, then follows. It asks no agent, and changes nothing. set has an agent tell services what to record, for a time, which they see without a call; settings shows what was set.",
  examples: [
    { command: "microview events tail", does: "everything of this user's services" },
    {
      command: "microview events tail --app shop --service auth --level warn",
      does: "what goes wrong in one service",
    },
    { command: "microview events tail --grep 'time.?out'", does: "what fits a pattern" },
    { command: "microview events tail --once > events.ndjson", does: "what is there now" },
    {
      command: "microview events set --app shop --service auth --level debug --for 10m",
      does: "more logs of one service, for a while",
    },
    {
      command: "microview events set --spans on --sample 1/16",
      does: "spans of one trace in sixteen, everywhere",
    },
    { command: "microview events set --reset", does: "take back all that was set" },
  ],
  flagsOf: FLAGS_OF,
  operands: flag.required(
    flag.choice(["tail", "set", "settings"], { hint: "ACTION", description: "what to do" }),
  ),
  flags: {
    app: flag.list({ hint: "GLOB", description: "only these applications" }),
    service: flag.list({ hint: "GLOB", description: "only these services" }),
    level: flag.choice([...LEVELS, "off"], {
      description: "tail: only logs of this level and worse; set: only these are recorded",
    }),
    grep: flag.parsed(parsePattern, {
      hint: "REGEX",
      description: "only events whose text or properties have it, in upper or lower case",
    }),
    once: flag.toggle({ description: "tail: print what is there and end" }),
    poolDir: flag.directory({ description: "where the rings are", shownDefault: "/dev/shm" }),
    json: flag.toggle({ description: "JSON on a terminal too" }),
    ...SETTINGS_FLAGS,
  },
  async run(options, action) {
    if (action === "tail") {
      const { tail } = await import("./events/tail.ts");
      return tail(options);
    }
    const isJson = options.json || process.stdout.isTTY !== true;
    const style = styleFor(process.stdout);
    const text = action === "set" ? setEvents(options) : showSettings(options, isJson, style);
    process.stdout.write(await text);
  },
});

function parsePattern(typed: string, label: string): RegExp {
  try {
    return new RegExp(typed, "iu");
  } catch (error) {
    throw new UsageError(`${label} is no pattern: ${(error as Error).message}`);
  }
}
