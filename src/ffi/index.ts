// What the native shim offers, as typed functions: memory and locks, clocks, sockets, RDMA.

export * from "./clock.ts";
export * from "./errno.ts";
export * from "./memory.ts";
export * from "./memory-file.ts";
export { ShimError } from "./misfit.ts";
export * from "./owned.ts";
export * from "./rdma-cm.ts";
export * from "./rdma-ports.ts";
export { shim } from "./shim.ts";
export * from "./socket.ts";
export {
  startTunnel,
  type Tunnel,
  type TunnelEnd,
  type TunnelGuard,
  type TunnelStream,
} from "./tunnel.ts";
export * from "./verbs.ts";
