// Prometheus's remote write: snapshots into requests, which wait until the receiver has taken them.
//
//   const sink = new RemoteWrite({ url, headers: () => ({}), labels: [], instanceOf, version, onNotice });
//   sink.write(snapshot);
//   await sink.close(5000);

export { RemoteWriteEncoder } from "./encoder.ts";
export type { FlatOptions, HistogramForm } from "./flat-series.ts";
export { instanceOf } from "./instance.ts";
export { RemoteWrite, type RemoteWriteOptions } from "./remote-write.ts";
export type { Encoded } from "./request-builder.ts";
export type { WireVersion } from "./template.ts";
