// How other servers are asked: by which way, and what is said when that fails.

export { byProxy, isLoopback, type Proxy, proxyFor, proxyOption } from "./proxies.ts";
