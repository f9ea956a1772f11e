// `microview inspect`: maps pools read-only and prints what they hold; needs no agent.

import { defineSubcommand, flag, stopSignal, styleFor } from "../command-line/index.ts";
import type { Look, Looker } from "../inspector/index.ts";
import { counted, printable, type Style, safeJson } from "../text/index.ts";

const WATCH_EVERY_MS = 1000;
/** Files of others that are named one by one; anybody may make very many of them. */
const FOREIGN_NAMED = 10;

export default defineSubcommand("inspect", {
  description:
    "Maps the pools of this host for reading and prints applications, services, writers, pages, series and values. Nothing is asked of an agent, and nothing is changed.",
  examples: [
    { command: "microview inspect", does: "all applications of this host" },
    { command: "microview inspect --app auth", does: "one application's services and metrics" },
    { command: "microview inspect --app auth --raw", does: "its layout with offsets and bytes" },
    { command: "microview inspect --metric 'http_*' --watch", does: "follow some metrics" },
  ],
  flags: {
    app: flag.list({ hint: "GLOB", description: "only these applications" }),
    service: flag.list({ hint: "GLOB", description: "only these services" }),
    metric: flag.list({ hint: "GLOB", description: "only these metrics" }),
    poolDir: flag.directory({
      description: "where the pools are",
      shownDefault: "/dev/shm",
    }),
    watch: flag.toggle({ description: "print again each second" }),
    json: flag.toggle({ description: "print one JSON object; with --watch, one per line" }),
    raw: flag.toggle({ description: "print the layout: offsets, records and bytes" }),
  },
  async run({ app, service, metric, poolDir, watch, json, raw }) {
    const { Looker } = await import("../inspector/index.ts");
    const looker = new Looker({ app, service, metric, poolDir });
    const print = await (json ? jsonPrinter(raw, watch) : textPrinter(raw));
    try {
      if (watch) await watchPools(looker, print, json);
      else process.stdout.write(print(looker, take(looker, true)));
      await tellForeign(looker);
    } finally {
      looker.close();
    }
  },
});

interface Taken {
  looks: Look[];
  setAside: { path: string }[];
}

type Print = (looker: Looker, taken: Taken) => string;

function take(looker: Looker, strict: boolean): Taken {
  const { pools, setAside } = looker.find();
  const looks = pools.flatMap((file) => looker.look(file) ?? []);
  // While watching, a metric may come and go.
  if (strict) looker.check(looks);
  if (looks.some(isDamaged)) process.exitCode = 1;
  return { looks: looks.filter((look) => looker.shows(look)), setAside };
}

/** Names on stderr what other users have put there; it is no part of the answer. */
async function tellForeign({ foreign }: Looker): Promise<void> {
  const reasons = [...foreign.values()];
  const more = reasons.length - FOREIGN_NAMED;
  const lines = reasons.slice(0, FOREIGN_NAMED).map((reason) => printable(reason));
  if (more > 0) lines.push(more === 1 ? "so is 1 more file" : `so are ${more} more files`);
  for (const line of lines) process.stderr.write(`microview: ${line}\n`);
}

function isDamaged(look: Look): boolean {
  return look.kind === "unreadable" || look.report.damageCount > 0;
}

async function watchPools(looker: Looker, print: Print, json: boolean): Promise<void> {
  const { SCREEN } = await import("../sinks/index.ts");
  const stop = stopSignal();
  const live = process.stdout.isTTY === true && !json;
  if (live) process.stdout.write(SCREEN.enter + SCREEN.wrapOff);
  let text = "";
  try {
    for (let round = 0; !stop.aborted; round++) {
      text = print(looker, take(looker, round === 0));
      if (live) process.stdout.write(screenful(text, SCREEN));
      else process.stdout.write(json || round === 0 ? text : `\n${text}`);
      await pause(WATCH_EVERY_MS, stop);
    }
  } finally {
    // What was seen last stays in the terminal's own history.
    if (live) process.stdout.write(SCREEN.wrapOn + SCREEN.leave + text);
  }
}

/** As much of a text as the terminal has lines for. */
function screenful(
  text: string,
  screen: { home: string; eraseLine: string; eraseBelow: string },
): string {
  const rows = process.stdout.rows || 24;
  const lines = text.trimEnd().split("\n");
  const shown = lines.length > rows ? lines.slice(0, rows - 1) : lines;
  if (lines.length > rows) {
    shown.push(
      `… ${counted(lines.length - shown.length, "more line")} (use --app, --service or --metric)`,
    );
  }
  const body = shown.map((line) => screen.eraseLine + line).join("\r\n");
  return screen.home + body + (shown.length < rows ? `\r\n${screen.eraseBelow}` : "");
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, ms);
  const stop = () => resolve();
  signal.addEventListener("abort", stop, { once: true });
  return promise.finally(() => {
    clearTimeout(timer);
    signal.removeEventListener("abort", stop);
  });
}

async function textPrinter(raw: boolean): Promise<Print> {
  const { poolLines, unreadableLines } = await import("./inspect/text.ts");
  const style = styleFor(process.stdout);
  const rawLines = raw ? await rawPrinter(style) : undefined;
  return (looker, { looks, setAside }) => {
    const blocks = looks.map((look) => {
      const lines =
        look.kind === "unreadable"
          ? unreadableLines(look.file.app, look.file.path, look.error.message, style)
          : rawLines === undefined
            ? poolLines(look.report, style)
            : [];
      return [...lines, ...(rawLines?.(look, looker) ?? [])].join("\n");
    });
    if (setAside.length > 0) {
      const paths = setAside.map(({ path }) => `  ${printable(path)}`);
      blocks.push(
        [style.yellow("set aside by an agent that could not use them:"), ...paths].join("\n"),
      );
    }
    return looks.length === 0 && setAside.length === 0
      ? emptyText(looker.wanted.poolDir, style)
      : `${blocks.join("\n\n")}\n`;
  };
}

function emptyText(poolDir: string | undefined, style: Style): string {
  return [
    `There are no applications ${poolDir === undefined ? "on this host" : `in ${JSON.stringify(poolDir)}`} yet: one appears when its first service attaches.`,
    `Start the agent with ${style.cyan("microview agent")} and a service that imports "microview", or see it all work with ${style.cyan("microview demo")}.`,
    ...(poolDir === undefined
      ? ["An agent with --pool-dir keeps its pools there: give the same flag here."]
      : []),
    "",
  ].join("\n");
}

async function rawPrinter(style: Style): Promise<(look: Look, looker: Looker) => string[]> {
  const inspector = await import("../inspector/index.ts");
  const { fieldLines, pageLines, recordLine } = await import("./inspect/raw-text.ts");
  const { warningLines } = await import("./inspect/text.ts");
  return (look, { filter }) => {
    if (look.kind === "unreadable") return fieldLines("header", look.header, style);
    const { pool, reading, report, file } = look;
    const { directory } = reading;
    const records = [...inspector.rawRecords(pool, reading)];
    const pages = [...inspector.rawPages(pool, reading, filter)];
    return [
      `${style.bold(printable(report.app))}  ${style.dim(printable(file.path))}`,
      ...warningLines(report, style),
      ...fieldLines("header", inspector.rawHeader(file.path), style),
      ...fieldLines("journal", inspector.rawJournal(pool), style),
      style.bold(
        `  directory, epoch ${directory.epoch}: ${counted(records.length, "record")} in ${directory.length} bytes`,
      ),
      ...records.map((record) => recordLine(record, style)),
      ...pages.flatMap((page) => pageLines(page, style)),
    ];
  };
}

async function jsonPrinter(raw: boolean, watch: boolean): Promise<Print> {
  const inspector = await import("../inspector/index.ts");
  const rawJson = (look: Extract<Look, { kind: "read" }>, { filter }: Looker) => ({
    header: inspector.rawHeader(look.file.path),
    journal: inspector.rawJournal(look.pool),
    directory: [...inspector.rawRecords(look.pool, look.reading)],
    pages: [...inspector.rawPages(look.pool, look.reading, filter)],
  });
  return (looker, { looks, setAside }) => {
    const pools = looks.map((look) => {
      if (look.kind === "unreadable") {
        const { file, error, header } = look;
        return {
          app: file.app,
          path: file.path,
          error: error.message,
          ...(raw ? { raw: { header } } : {}),
        };
      }
      const report = inspector.poolJson(look.report) as object;
      return raw ? { ...report, raw: inspector.withoutOddNumbers(rawJson(look, looker)) } : report;
    });
    const json = { pools, setAside: setAside.map(({ path }) => path) };
    return `${safeJson(json, watch ? undefined : 2)}\n`;
  };
}
