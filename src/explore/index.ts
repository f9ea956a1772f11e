// Asks a lake: SQL and its answers, a trace as a waterfall, events for Perfetto's viewer.

export { Dialogue } from "./dialogue/dialogue.ts";
export type { Ending } from "./lake/answer-lines.ts";
export { DEFAULT_LAKE_URL, LakeClient, lakeOptions } from "./lake/lake-client.ts";
export { LakeError } from "./lake/lake-error.ts";
export { lastMs, type TimeRange } from "./lake/time-range.ts";
export {
  type AnswerOutput,
  emptyHint,
  endingText,
  QUERY_FORMATS,
  type QueryFormat,
  writeAnswer,
} from "./output/answer.ts";
export { OutFile } from "./output/out-file.ts";
export { ProgressBar } from "./output/progress.ts";
export { perfettoFile } from "./perfetto/export.ts";
export { caretLines } from "./sql/caret.ts";
export { loadTrace, slowTraces } from "./trace/load-trace.ts";
export { SHORT_DIGITS, traceIdIn, traceIdOf } from "./trace/trace-ids.ts";
export { traceJson } from "./trace/trace-json.ts";
export { traceListText } from "./trace/trace-list.ts";
export { waterfallLines } from "./trace/waterfall.ts";
