// What the demo prints at its end: a query over what its services have logged, and one of their requests as a waterfall,
// each with the command that shows it.

import {
  LakeClient,
  LakeError,
  loadTrace,
  SHORT_DIGITS,
  type TimeRange,
  waterfallLines,
  writeAnswer,
} from "../../explore/index.ts";
import { type Style, safeJson } from "../../text/index.ts";

/** What the services tell is there after a second or two, and a question takes less than one. */
const PATIENCE_MS = 8_000;
const LOOK_EVERY_MS = 100;

const LOGGED =
  "select service, level, message, count(*) as times from log_entries group by all order by times desc";
/** The slowest request that went through all services and has ended. */
const REQUEST = `select trace_id from spans group by trace_id
having count(distinct service) = 3 and count(*) filter (status in ('open', 'lost')) = 0
order by max(end_ns) - min(begin_ns) desc limit 1`;

interface LastWords {
  readonly lakeUrl: string;
  readonly write: (text: string) => void;
  readonly style: Style;
  readonly columns: number | undefined;
}

/** Waits until the lake has something to say, or too long. */
export async function lastWords(options: LastWords): Promise<void> {
  const { lakeUrl, write, style, columns } = options;
  const client = new LakeClient({ url: lakeUrl });
  const stop = AbortSignal.timeout(PATIENCE_MS);
  try {
    const traceId = await slowestRequest(client, stop);
    const [table, trace] = await Promise.all([
      loggedTable(client, options, stop),
      loadTrace(client, traceId, {}, stop),
    ]);
    write(`\n${style.bold(`microview query ${safeJson(LOGGED)}`)}\n${table}`);
    write(`\n${style.bold(`microview trace ${traceId.slice(-SHORT_DIGITS)}`)}\n`);
    write(`${waterfallLines(trace, { style, columns: columns ?? 100 }).join("\n")}\n`);
  } catch (error) {
    if (!stop.aborted && !(error instanceof LakeError)) throw error;
    const why = stop.aborted ? "it has not heard of a whole request yet" : (error as Error).message;
    write(`\nthe demo's lake has nothing to show: ${why}\n`);
  }
}

async function loggedTable(
  client: LakeClient,
  { style, columns }: LastWords,
  stop: AbortSignal,
): Promise<string> {
  let table = "";
  const write = async (text: string | Uint8Array) => {
    table += String(text);
  };
  const question = { sql: LOGGED, range: {}, format: "table" as const };
  await writeAnswer(client, question, { write, style, columns }, stop);
  return table;
}

async function slowestRequest(client: LakeClient, stop: AbortSignal): Promise<string> {
  const everything: TimeRange = {};
  for (;;) {
    try {
      const [row] = await client.rows(REQUEST, everything, stop);
      if (typeof row?.["trace_id"] === "string") return row["trace_id"];
    } catch (error) {
      // Ctrl-C has also ended the process that the lake had ready for a query; it starts another one.
      if (!(error instanceof LakeError) || stop.aborted) throw error;
    }
    await Bun.sleep(LOOK_EVERY_MS);
    stop.throwIfAborted();
  }
}
