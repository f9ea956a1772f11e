// The collector: transports, snapshots, schedule, history. `import { Collector } from "microview/collector"`.

export type { PoolSnapshot } from "../layout/index.ts";
export {
  AgentClient,
  type ClientTls,
  type Credentials,
  namedTwice,
  type Question,
  socketOf,
  type Target,
} from "./agent-client.ts";
export { Collector, type CollectorEvent, type CollectorOptions } from "./collector.ts";
export { credentialFiles } from "./credential-files.ts";
export {
  DiscoveryError,
  type TransportChoice,
  timeoutExponent,
  VERBS_DEFAULTS,
  type VerbsOptions,
} from "./discovery.ts";
export { EVERYTHING, type Filter, type Wanted, wantedBy } from "./filter.ts";
export { findSeries, History, type HistoryOptions, type SeriesName } from "./history.ts";
export { MmapTransport } from "./mmap-transport.ts";
export { type Outcome, PoolReader, SNAPSHOT_LEAD_BYTES } from "./pool-reader.ts";
export { RunProgress } from "./run-progress.ts";
export { Sightings } from "./sightings.ts";
export { DurationStatistics, type TargetStatistics } from "./statistics.ts";
export { TcpTransport } from "./tcp-transport.ts";
export type {
  ByteRange,
  Destination,
  ReadFailure,
  RemotePool,
  Transport,
  TransportCounters,
  TransportName,
} from "./transport.ts";
export { newCounters } from "./transport.ts";
export { VerbsTransport } from "./verbs-transport.ts";
export type { PollMode } from "./worker-protocol.ts";
