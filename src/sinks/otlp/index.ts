// OTLP over HTTP: snapshots into requests, as protobuf or JSON, which wait until the receiver has taken them.
//
//   const sink = new Otlp({ url, headers: () => ({}), format: "protobuf", resourceOf, version, onNotice });
//   sink.write(snapshot);
//   await sink.close(5000);

export { OtlpEncoder, type OtlpEncoderOptions } from "./encoder.ts";
export { otlpEnvironment } from "./environment.ts";
export { JsonForm } from "./json.ts";
export type { Attributes, OtlpForm, Part } from "./model.ts";
export { Otlp, type OtlpOptions } from "./otlp.ts";
export { ProtobufForm } from "./protobuf.ts";
export { passingName, resourceAttributes, resourceOf } from "./resource.ts";
