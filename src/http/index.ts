// How requests go to other servers: directly or by a proxy, with which certificates, and what an error says.

export { readAuthorities, readIdentity } from "./certificate-files.ts";
export {
  certificatesOf,
  checkPair,
  privateKeyOf,
  TlsError,
} from "./certificates.ts";
export { type Attempt, failureOf, shortReason, whatSpeaks } from "./failures.ts";
export { askPlainly } from "./probe.ts";
export { byProxy, isLoopback, type Proxy, proxyFor, proxyOption } from "./proxies.ts";
