// Ingestion, for the rest of the lake.

export { Disk } from "./disk.ts";
export { Ingestion, LaterError } from "./ingestion.ts";
