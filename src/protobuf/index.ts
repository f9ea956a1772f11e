// Protobuf's wire format, written and read, for OTLP, remote write and Perfetto's files.

export { eachField, ProtoWriter, putVarint, readVarint, varintBytes } from "./wire-format.ts";
