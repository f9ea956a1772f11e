// `microview events tail`: follows what services record in shared memory, as text or NDJSON; needs no agent.

import {
  defineSubcommand,
  flag,
  once,
  stopSignal,
  styleFor,
  UsageError,
} from "../command-line/index.ts";
import type { EventRow } from "../events/index.ts";
import { LEVELS } from "../layout/index.ts";
import { globs, printable } from "../text/index.ts";

/** Not less, so that looking at a ring's head costs its writer nothing (docs/decisions/0044). */
const EVERY_MS = 50;

export default defineSubcommand("events", {
  description:
    "Reads the rings in which services of this host record logs, measures and spans. Shows what is there, also of services that have died, then follows. Nothing is asked of an agent, and nothing is changed.",
  examples: [
    { command: "microview events tail", does: "everything of this user's services" },
    {
      command: "microview events tail --app shop --service auth --level warn",
      does: "what goes wrong in one service",
    },
    { command: "microview events tail --grep 'time.?out'", does: "what fits a pattern" },
    { command: "microview events tail --once > events.ndjson", does: "what is there now" },
  ],
  operands: flag.required(flag.choice(["tail"], { hint: "ACTION", description: "tail" })),
  flags: {
    app: flag.list({ hint: "GLOB", description: "only these applications" }),
    service: flag.list({ hint: "GLOB", description: "only these services" }),
    level: flag.choice(LEVELS, { description: "only logs of this level and worse" }),
    grep: flag.parsed(parsePattern, {
      hint: "REGEX",
      description: "only events whose text or properties have it, in upper or lower case",
    }),
    once: flag.toggle({ description: "print what is there and end" }),
    poolDir: flag.directory({ description: "where the rings are", shownDefault: "/dev/shm" }),
    json: flag.toggle({ description: "NDJSON on a terminal too" }),
  },
  async run({ app, service, level, grep, once: isOnce, poolDir, json }) {
    const { EventFollower } = await import("../events/index.ts");
    const { rowJson, rowText, searchText } = await import("./events/row-text.ts");
    const stop = stopSignal();
    const style = styleFor(process.stdout);
    const isText = process.stdout.isTTY === true && !json;
    const worst = level === undefined ? undefined : LEVELS.indexOf(level);
    const isWanted = (row: EventRow) =>
      (worst === undefined || (row.kind === "log" && LEVELS.indexOf(row.level) <= worst)) &&
      (grep === undefined || grep.test(searchText(row)));
    const follower = new EventFollower({
      poolDir,
      wantsApp: globs(app),
      wantsService: globs(service),
      onUnreadable: (path, reason) =>
        void process.stderr.write(
          `microview: ${printable(path)} is no ring: ${printable(reason)}\n`,
        ),
    });
    try {
      for (let round = 0; !stop.aborted; round++) {
        const rows = follower.next(isOnce).filter(isWanted);
        const text = rows.map((row) => (isText ? rowText(row, style) : rowJson(row))).join("");
        if (text !== "" && !process.stdout.write(text)) await drained(stop);
        if (round === 0 && follower.ringsSeen === 0) process.stderr.write(NOTHING_YET);
        if (isOnce) break;
        await Promise.race([Bun.sleep(EVERY_MS), once(stop)]);
      }
    } finally {
      follower.close();
    }
  },
});

const NOTHING_YET =
  "microview: there are no events that this user may read and that were asked for: a service records some with mv.log, mv.measure or mv.span\n";

function parsePattern(typed: string, label: string): RegExp {
  try {
    return new RegExp(typed, "iu");
  } catch (error) {
    throw new UsageError(`${label} is no pattern: ${(error as Error).message}`);
  }
}

/** Whoever reads the output is slower than what is recorded. */
function drained(stop: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  process.stdout.once("drain", resolve);
  return Promise.race([promise, once(stop)]);
}
