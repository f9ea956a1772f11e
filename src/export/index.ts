// Where snapshots are pushed to: receivers of Prometheus's remote write, and of OTLP over HTTP. Each exporter is handed every snapshot as it
// comes and is closed at the end:
//
//   const exporter = new RemoteWrite({ url, headers: () => ({}), labels: [], wanted, instanceOf, version, onNotice });
//   exporter.write(snapshot);
//   await exporter.close(5000);

export { type Backlog, MemoryBacklog, type Request } from "./backlog.ts";
export { exponentialError, exponentialMap, toExponential } from "./exponential.ts";
export type { ExtraLabel, FlatOptions, HistogramForm } from "./flat-series.ts";
export type { RemoteWriteProtocol } from "./negotiation.ts";
export { Otlp, type OtlpOptions } from "./otlp.ts";
export { OtlpEncoder, type OtlpEncoderOptions } from "./otlp-encoder.ts";
export { JsonForm } from "./otlp-json.ts";
export type { Attributes, OtlpForm, Part } from "./otlp-model.ts";
export { ProtobufForm } from "./otlp-protobuf.ts";
export type { ExportEnd, Exporter } from "./push.ts";
export { RemoteWrite, type RemoteWriteOptions } from "./remote-write.ts";
export {
  RemoteWriteEncoder,
  type RemoteWriteEncoderOptions,
} from "./remote-write-encoder.ts";
export type { Encoded } from "./request-builder.ts";
export type { WireVersion } from "./template.ts";
export { WriteAhead, WriteAheadError } from "./write-ahead.ts";
