// Ids of traces as people give them: whole, or a part of one that no other trace has.

import { foreignWords } from "../../calling/index.ts";
import type { LakeClient } from "../lake/lake-client.ts";
import { LakeError } from "../lake/lake-error.ts";
import type { TimeRange } from "../lake/time-range.ts";
import { isoTime } from "./iso-time.ts";

export const ID_DIGITS = 32;
export const ID_DIGITS_MIN = 8;
/** How much of an id's end lists show to people: in ids that microview makes the last 16 digits are random. */
export const SHORT_DIGITS = 12;
const CANDIDATES_SHOWN = 10;

/**
 * The id, its beginning or its end, in what a person gives: also `traceparent` headers and ids with dashes.
 * @returns undefined for what is none
 */
export function traceIdIn(text: string): string | undefined {
  const parent = /^[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}$/i.exec(text.trim());
  const digits = (parent?.[1] ?? text.trim().replaceAll("-", "")).toLowerCase();
  const isId = /^[0-9a-f]+$/.test(digits);
  return isId && digits.length >= ID_DIGITS_MIN && digits.length <= ID_DIGITS ? digits : undefined;
}

/** SQL that is true of spans of such traces. @param digits of {@link traceIdIn} */
export function hasDigits(digits: string): string {
  if (digits.length === ID_DIGITS) return `trace_id = '${digits}'`;
  const [least, most] = [digits.padEnd(ID_DIGITS, "0"), digits.padEnd(ID_DIGITS, "f")];
  return `(trace_id between '${least}' and '${most}' or right(trace_id, ${digits.length}) = '${digits}')`;
}

/**
 * The one trace that is meant.
 * @param digits of {@link traceIdIn}
 * @throws LakeError when there is none in the range, or there are several: then it tells when and where they began
 */
export async function traceIdOf(
  client: LakeClient,
  digits: string,
  range: TimeRange,
  stop?: AbortSignal,
): Promise<string> {
  if (digits.length === ID_DIGITS) return digits;
  const rows = await client.rows(
    `select trace_id, cast(min(begin_ns) as varchar) as begin_text, arg_min(service, begin_ns) as first_service,
  arg_min(name, begin_ns) as first_name, count(*) over () as traces
from spans where ${hasDigits(digits)} group by trace_id order by min(begin_ns) desc limit ${CANDIDATES_SHOWN}`,
    range,
    stop,
  );
  const [first] = rows;
  if (first === undefined) throw noSuchTrace(digits);
  if (rows.length === 1) return String(first["trace_id"]);
  const traces = Number(first["traces"]);
  const shown = rows.map((row) => {
    const { trace_id, begin_text, first_service, first_name } = row;
    const time = isoTime(BigInt(String(begin_text)));
    return `\n  ${[trace_id, time, first_service, first_name].map((each) => foreignWords(String(each))).join("  ")}`;
  });
  const more = traces > rows.length ? `\n  and ${traces - rows.length} more` : "";
  throw new LakeError(
    `${traces} traces have ids that begin or end with ${digits}:${shown.join("")}${more}`,
    "give more digits",
  );
}

export function noSuchTrace(digits: string): LakeError {
  return new LakeError(
    `there is no trace ${digits} in the time that was asked about`,
    "--last 1d looks further back; without an id, the slowest traces are listed",
  );
}
