// How other servers are asked: by which way, with which certificates, and what is said when that fails.

export {
  certificatesOf,
  checkPair,
  privateKeyOf,
  TlsError,
  withoutMark,
} from "./certificates.ts";
export { type Attempt, failureOf, shortReason, whatSpeaks } from "./failures.ts";
export { askPlainly } from "./probe.ts";
export { byProxy, isLoopback, type Proxy, proxyFor, proxyOption } from "./proxies.ts";
