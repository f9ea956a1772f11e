// The collector: transports, snapshots, schedule, history. `import { Collector } from "microview/collector"`.

export type { PoolSnapshot } from "../layout/index.ts";
export { Collector, type CollectorEvent, type CollectorOptions } from "./collector.ts";
export { DiscoveryError, type Target, type TransportChoice, targetName } from "./discovery.ts";
export { EVERYTHING, type Filter, type Wanted, wantedBy } from "./filter.ts";
export { findSeries, History, type HistoryOptions, type SeriesName } from "./history.ts";
export { MmapTransport } from "./mmap-transport.ts";
export { type Outcome, PoolReader, SNAPSHOT_LEAD_BYTES, snapshotBytes } from "./pool-reader.ts";
export { DurationStatistics, type TargetStatistics } from "./statistics.ts";
export { TcpTransport } from "./tcp-transport.ts";
export type { ByteRange, Destination, ReadFailure, RemotePool, Transport } from "./transport.ts";
export { MovedError, TransportError } from "./transport.ts";
