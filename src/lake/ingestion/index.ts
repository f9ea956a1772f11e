// Ingestion, for the rest of the lake.

export { Disk } from "./disk.ts";
export { Ingestion, LaterError } from "./ingestion.ts";
export { SEGMENT_BLOCKS_MAX } from "./segment.ts";
