// OpenTelemetry's APIs over shared memory: metrics, traces and logs.
// `import { MeterProvider, TracerProvider, LoggerProvider } from "microview/opentelemetry"`

export { type AggregationOption, AggregationType, InstrumentType } from "./aggregation.ts";
export { ContextManager } from "./events/context.ts";
export type { SpanLimits } from "./events/limits.ts";
export { LoggerProvider, type LoggerProviderOptions } from "./events/logger-provider.ts";
export { TracerProvider, type TracerProviderOptions } from "./events/tracer-provider.ts";
export { MeterProvider, type MeterProviderOptions } from "./provider.ts";
export type { IAttributesProcessor } from "./series-table.ts";
export {
  createAllowListAttributesProcessor,
  createDenyListAttributesProcessor,
  type ViewOptions,
} from "./views.ts";
