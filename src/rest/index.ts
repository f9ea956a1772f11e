// REST contracts: what each call to an agent takes and answers, stated once as schemas. The agent checks by them; callers
// import their types alone, so that nothing of this room is loaded there.

export {
  type Answer,
  type Body,
  CALLS,
  type Call,
  type CallSchemas,
  type PathValues,
} from "./calls.ts";
export { ApiError, Problem } from "./errors.ts";
export {
  EventScope,
  EventSetting,
  EventSettings,
  EventSettingsRequest,
  EventSettingsResponse,
} from "./events.ts";
export {
  AppSummary,
  HealthResponse,
  MetricSummary,
  ProcessesResponse,
  ServiceSummary,
  TokenListing,
  WriterSummary,
} from "./lists.ts";
export { PrototypeRequest, PrototypeResponse } from "./prototype.ts";
export {
  QueuePairRequest,
  QueuePairResponse,
  QueuePairSummary,
  RdmaEndpoint,
  RdmaRegion,
  RdmaResponse,
  RdmaSessionMessage,
  RegionsResponse,
} from "./rdma.ts";
export {
  AttachRequest,
  AttachResponse,
  Extent,
  HoldRequest,
  PlacedRun,
  PreviousPlace,
  RegisterRequest,
  RegisterResponse,
  RegisterResult,
  ReleaseRequest,
  ReleaseResponse,
  SeriesRelease,
  SeriesRequest,
} from "./writers.ts";
