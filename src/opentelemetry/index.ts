// OpenTelemetry's metrics API over shared memory. `import { MeterProvider } from "microview/opentelemetry"`

export { type AggregationOption, AggregationType, InstrumentType } from "./aggregation.ts";
export { MeterProvider, type MeterProviderOptions } from "./provider.ts";
export type { IAttributesProcessor } from "./series-table.ts";
export {
  createAllowListAttributesProcessor,
  createDenyListAttributesProcessor,
  type ViewOptions,
} from "./views.ts";
