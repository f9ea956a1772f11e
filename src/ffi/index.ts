// What the native shim offers, as typed functions: memory and locks, clocks, sockets, RDMA.

export {
  measureTicksPerMs,
  monotonicNs,
  setTimerSlackNs,
  sleepUntilNs,
  ticker,
  unixMs,
} from "./clock.ts";
export { confine, executeInPlace, landlockVersion, limitGrowth, openPipe } from "./confine.ts";
export { SystemError } from "./errno.ts";
export {
  allocateBuffer,
  allocateShared,
  CopiedMemory,
  forkCount,
  lockWhole,
  Mapping,
  SharedFile,
  WriterHold,
} from "./memory.ts";
export { MemoryFile } from "./memory-file.ts";
export { ShimError } from "./misfit.ts";
export {
  ForeignFileError,
  OTHERS_WRITE,
  type Owners,
  openOwned,
  opensAll,
  ownerOfSocket,
  ownUids,
  shareSocket,
} from "./owned.ts";
export { ConnectionManager, type ManagerEvent } from "./rdma-cm.ts";
export {
  chooseRdmaPort,
  gidText,
  ipv4OfGid,
  listRdmaPorts,
  NoRdmaPortError,
  openableAt,
  RDMA_SYSFS,
  type RdmaChoice,
  type RdmaGid,
  type RdmaPort,
  type RdmaPortSpec,
} from "./rdma-ports.ts";
export { shim } from "./shim.ts";
export {
  accept,
  closeFd,
  Gathered,
  hangUp,
  localPort,
  localUserOf,
  POLL,
  Poll,
  peerOf,
  receive,
  send,
  socketError,
  tcpConnect,
  tcpListen,
  WakeEvent,
} from "./socket.ts";
export {
  type Completion,
  DEVICE_FATAL,
  Device,
  Domain,
  loadVerbs,
  PAIR_BROKEN,
  PAIR_ERRORS,
  QueuePair,
  ReadList,
  Region,
  STATUS_REMOTE_ACCESS,
  statusText,
} from "./verbs.ts";
