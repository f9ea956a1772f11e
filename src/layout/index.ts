// The contract: page, pool, directory, histogram, wire and REST formats. Pure code over buffers, no I/O.

export * from "./api.ts";
export * from "./bytes.ts";
export { ClashLog } from "./clash-log.ts";
export * from "./constants.ts";
export * from "./directory.ts";
export * from "./exposition.ts";
export { foreignWords } from "./foreign-words.ts";
export * from "./globs.ts";
export * from "./header.ts";
export * from "./histogram.ts";
export * from "./histogram-slots.ts";
export * from "./identity.ts";
export { parseFlatJson } from "./json.ts";
export * from "./metric.ts";
export * from "./paths.ts";
export * from "./prometheus-names.ts";
export * from "./ranges.ts";
export * from "./records.ts";
export { freeName, type Origin } from "./sample-labels.ts";
export {
  type AddedLabel,
  describeClash,
  type FamilyType,
  familyTypeOf,
  type NameClash,
  type NamedMetric,
  SampleNames,
  type SampleType,
  type Shown,
} from "./sample-names.ts";
export { counterFamilyOf, sampleNamesOf } from "./sample-types.ts";
export * from "./snapshot.ts";
export * from "./starts.ts";
export { threadFault } from "./thread-fault.ts";
export * from "./wire.ts";
