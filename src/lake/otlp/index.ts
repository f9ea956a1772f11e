// OTLP, for the lake's server: loaded when it is first sent.

export { OtlpReceiver } from "./receiver.ts";
