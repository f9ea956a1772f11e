// `microview events tail`: follows the rings of this host until it is stopped, as lines or NDJSON.

import { readdirSync } from "node:fs";
import { CliError, once, stopSignal, styleFor, UsageError } from "../../command-line/index.ts";
import { EventFollower, type EventRow } from "../../events/index.ts";
import { LEVELS } from "../../layout/index.ts";
import { counted, globs, printable } from "../../text/index.ts";
import { rowJson, rowText, searchText } from "./row-text.ts";

/** Not less, so that looking at a ring's head costs its writer nothing (docs/decisions/0044). */
const EVERY_MS = 50;

interface Options {
  app: readonly string[];
  service: readonly string[];
  level: (typeof LEVELS)[number] | "off" | undefined;
  grep: RegExp | undefined;
  once: boolean;
  poolDir: string | undefined;
  json: boolean;
}

export async function tail(options: Options): Promise<void> {
  const { app, service, level, grep, once: isOnce, poolDir, json } = options;
  if (poolDir !== undefined) checkFolder(poolDir);
  if (level === "off") throw new UsageError("--level off leaves nothing to show");
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
      void process.stderr.write(`microview: ${printable(path)} is no ring: ${printable(reason)}\n`),
  });
  try {
    for (let round = 0; !stop.aborted; round++) {
      const all = follower.next(isOnce);
      const rows = all.filter(isWanted);
      const text = rows.map((row) => (isText ? rowText(row, style) : rowJson(row))).join("");
      if (text !== "" && !process.stdout.write(text)) await drained(stop);
      if (round === 0 && rows.length === 0) {
        process.stderr.write(whyNothing(options, follower, all.length));
      }
      if (isOnce) break;
      await Promise.race([Bun.sleep(EVERY_MS), once(stop)]);
    }
  } finally {
    follower.close();
  }
}

/** @throws CliError for one that cannot be listed: it will hardly come to be while this waits for it */
function checkFolder(poolDir: string): void {
  try {
    readdirSync(poolDir);
  } catch (error) {
    throw new CliError({
      message: `--pool-dir ${poolDir} cannot be read: ${(error as Error).message}`,
      hint: "name the folder that the agent has as its --pool-dir, or leave it out for /dev/shm",
      cause: error,
    });
  }
}

const SERVICES_SHOWN = 10;

/** Why the first look shows nothing. @param read how many events were read, before --level and --grep */
function whyNothing(options: Options, follower: EventFollower, read: number): string {
  const { app, service, level, grep } = options;
  if (read > 0) {
    const filters = [
      ...(level === undefined ? [] : [`--level ${level}`]),
      ...(grep === undefined ? [] : [`--grep ${grep.source}`]),
    ];
    return `microview: nothing matches ${printable(filters.join(" and "))} yet, of ${counted(read, "event")}\n`;
  }
  if (follower.ringsSeen > 0) return "microview: the services have recorded nothing yet\n";
  const { services, foreign } = follower.others();
  const named = [
    ...app.map((each) => `--app ${each}`),
    ...service.map((each) => `--service ${each}`),
  ];
  if (named.length > 0 && services.length > 0) {
    const more = services.length - SERVICES_SHOWN;
    const shown =
      services.slice(0, SERVICES_SHOWN).join(", ") + (more > 0 ? `, and ${more} more` : "");
    return `microview: no service matches ${printable(named.join(" "))}; there are ${printable(shown)}\n`;
  }
  if (foreign > 0) {
    return `microview: this user has no services here that record; ${counted(foreign, "ring")} of other users may be read by them and root alone: run it as that user, or by sudo\n`;
  }
  return NOTHING_YET;
}

const NOTHING_YET =
  "microview: there are no events that this user may read and that were asked for: a service records some with mv.log, mv.measure or mv.span\n";

/** The reader of the output is slower than what is recorded. */
function drained(stop: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  process.stdout.once("drain", resolve);
  return Promise.race([promise, once(stop)]);
}
