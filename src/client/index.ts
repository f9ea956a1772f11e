// The client: a service declares metrics and stores numbers. `import { MicroView } from "microview"`.

export type { Combine, Level, LogLinearOptions, SpanKind } from "../layout/index.ts";
export { DefinitionError } from "../layout/index.ts";
export type { Readiness } from "./attachment-status.ts";
export { Counter } from "./counter.ts";
/** @internal */
export { type LineFormat, LineReader } from "./events/json-line.ts";
export type { Measure, MeasureOptions } from "./events/measure.ts";
export type { EventsOptions, Log, Properties, RedactionHook } from "./events/options.ts";
/** @internal */
export { NAMES_MAX, type Recorder } from "./events/recorder.ts";
export type { BeginOptions, Span, SpanName, SpanOptions } from "./events/span.ts";
/** @internal */
export { EXIT } from "./events/span.ts";
export {
  formatTraceparent,
  parseTraceparent,
  type SpanContext,
} from "./events/trace-context.ts";
export { Family, type LabelValue } from "./family.ts";
export { Gauge } from "./gauge.ts";
export { Histogram } from "./histogram.ts";
export { MicroViewClient, MicroViewMetric } from "./legacy.ts";
export {
  type GaugeOptions,
  type HistogramOptions,
  type Labelled,
  type MetricOptions,
  MicroView,
  type MicroViewOptions,
} from "./microview.ts";
export type { ClientSource } from "./source.ts";
/** @internal */
export { clientOf, type OwnedClient } from "./source.ts";
/** @internal */
export { warnOnStderr } from "./warning.ts";
