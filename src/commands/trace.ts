// `microview trace`: one request through all services, as a waterfall.

import { createInterface } from "node:readline/promises";
import {
  defineSubcommand,
  flag,
  formatDurationMs,
  stopSignal,
  styleFor,
  UsageError,
} from "../command-line/index.ts";
import { endedBy } from "./explore/ended-by.ts";
import {
  DEFAULT_LAST_MS,
  LAKE_FLAGS,
  openLake,
  RANGE_FLAGS,
  rangeOf,
} from "./explore/lake-flags.ts";

const LISTED = 20;

export default defineSubcommand("trace", {
  description:
    "Asks a lake for all spans of a trace, and for the logs that were written within them. The beginning or the end of an id will do, from 8 digits on. Without an id, the slowest traces are listed.",
  examples: [
    { command: "microview trace a3ce929d0e0e4736", does: "where the time of a request went" },
    { command: "microview trace --last 15m", does: "the slowest of the last 15 minutes" },
    { command: "microview trace a3ce929d0e0e4736 --json", does: "the same for programs" },
  ],
  operands: flag.text({
    hint: "ID",
    description: "id of a trace, its beginning or end, or a traceparent header",
  }),
  flags: {
    ...RANGE_FLAGS,
    json: flag.toggle({ description: "one document of JSON" }),
    ...LAKE_FLAGS,
  },
  async run({ json, ...options }, typed) {
    const { loadTrace, slowTraces, traceIdIn, traceJson, traceListText, waterfallLines } =
      await import("../explore/index.ts");
    const digits = typed === undefined ? undefined : traceIdIn(typed);
    if (typed !== undefined && digits === undefined) {
      throw new UsageError(
        `ID is no id of a trace: '${typed}'`,
        "it has 8 to 32 hexadecimal digits",
      );
    }
    const range = rangeOf(options);
    const client = await openLake(options);
    const stop = stopSignal();
    const { stdout } = process;
    const style = styleFor(stdout);
    const columns = stdout.isTTY ? stdout.columns : undefined;
    const show = async (id: string) => {
      const trace = await loadTrace(client, id, range, stop);
      const lines = () => waterfallLines(trace, { style, columns: columns ?? 100 });
      stdout.write(json ? traceJson(trace) : `${lines().join("\n")}\n`);
    };
    try {
      if (digits !== undefined) return await show(digits);
      const traces = await slowTraces(client, range, LISTED, stop);
      if (json) {
        const rows = traces.map((trace) => ({ ...trace, beginNs: String(trace.beginNs) }));
        stdout.write(rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
        return;
      }
      if (traces.length === 0) {
        const { last = DEFAULT_LAST_MS } = options;
        const when =
          options.from === undefined ? `the last ${formatDurationMs(last)}` : "that time";
        process.stderr.write(
          `microview: there are no traces in ${when}\nhint: --last 1d looks further back\n`,
        );
        return;
      }
      stdout.write(traceListText(traces, style, columns));
      const picked = await pick(traces.length, stop);
      if (picked !== undefined) await show(traces[picked]!.traceId);
    } catch (error) {
      if (!stop.aborted) throw error;
      endedBy(stop);
    }
  },
});

/** Asks for a number of the list; undefined when there is nobody to ask, or none is wanted. */
async function pick(many: number, stop: AbortSignal): Promise<number | undefined> {
  if (!process.stdin.isTTY || !process.stdout.isTTY) return undefined;
  const { promise: isEnded, resolve } = Promise.withResolvers<string>();
  const readline = createInterface({ input: process.stdin, output: process.stdout });
  readline.on("close", () => resolve(""));
  readline.on("SIGINT", () => readline.close());
  stop.addEventListener("abort", () => readline.close());
  try {
    for (;;) {
      const question = readline.question(`show which (1–${many}, Enter for none)? `);
      const answer = (await Promise.race([question, isEnded])).trim();
      if (answer === "") return undefined;
      const number = Number(answer);
      if (Number.isInteger(number) && number >= 1 && number <= many) return number - 1;
    }
  } finally {
    readline.close();
  }
}
