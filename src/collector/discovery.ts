// Finds out how an agent is best read: asks its REST port, and maps its pools when they lie on this host.

import { lookup } from "node:dns/promises";
import { existsSync, readFileSync } from "node:fs";
import { SharedFile } from "../ffi/index.ts";
import { DEFAULT_PORT, type HealthResponse, LAYOUT_VERSION } from "../layout/index.ts";
import type { TargetSpec } from "./worker-protocol.ts";

const TIMEOUT_MS = 5_000;

/** An agent to read; without `host` the one of this host. */
export interface Target {
  host?: string;
  port?: number;
  /** Socket of this host's agent, when `host` is not given. */
  socketPath?: string;
  /** Where this host's pools lie when no agent says so. */
  poolDir?: string;
}

export type TransportChoice = "auto" | "mmap" | "tcp";

export interface DiscoveryOptions {
  transport: TransportChoice;
  token?: string;
  /** Speaks TLS, and trusts these certificates (PEM); true trusts the system's. */
  tls?: { ca: string } | true;
}

/** The agent cannot be read as asked. `fatal` when trying again is of no use. */
export class DiscoveryError extends Error {
  override readonly name = "DiscoveryError";
  constructor(
    message: string,
    readonly fatal = false,
  ) {
    super(message);
  }
}

/** How an agent is named to the user. */
export function targetName({ host, port }: Target): string {
  return host === undefined
    ? "local"
    : `${host.includes(":") ? `[${host}]` : host}:${port ?? DEFAULT_PORT}`;
}

/** @throws DiscoveryError when the agent does not answer, refuses, or cannot be read by the transport asked for */
export async function discover(target: Target, options: DiscoveryOptions): Promise<TargetSpec> {
  if (target.host === undefined) return discoverLocal(target, options);
  const health = await askHealth(target, options);
  const { transport } = options;
  if (transport !== "tcp") {
    const obstacle = obstacleToMapping(health);
    if (obstacle === undefined) return { transport: "mmap", poolDir: health.poolDir };
    if (transport === "mmap") throw new DiscoveryError(obstacle, true);
  }
  if (health.dataPort === 0) throw new DiscoveryError("the agent does not serve a data port");
  return {
    transport: "tcp",
    host: await resolve(target.host),
    port: health.dataPort,
    token: options.token ?? "",
  };
}

/** This host's pools need no agent to be read, unless it is to be read over TCP. */
async function discoverLocal(target: Target, options: DiscoveryOptions): Promise<TargetSpec> {
  const { socketPath, poolDir } = target;
  if (options.transport !== "tcp") {
    if (poolDir !== undefined) return { transport: "mmap", poolDir };
    const health = await askHealth(target, options).catch(() => undefined);
    return { transport: "mmap", poolDir: health?.poolDir ?? null };
  }
  if (socketPath === undefined || !existsSync(socketPath)) {
    throw new DiscoveryError("no agent serves this host: start one with `microview agent`");
  }
  const { dataPort } = await askHealth(target, options);
  return { transport: "tcp", host: "127.0.0.1", port: dataPort, token: options.token ?? "" };
}

async function askHealth(target: Target, options: DiscoveryOptions): Promise<HealthResponse> {
  const { tls, token } = options;
  const name = targetName(target);
  const local = target.host === undefined;
  const url = local ? "http://localhost/health" : `${tls ? "https" : "http"}://${name}/health`;
  let response: Response;
  try {
    response = await fetch(url, {
      signal: AbortSignal.timeout(TIMEOUT_MS),
      headers: token === undefined ? {} : { authorization: `Bearer ${token}` },
      ...(local && target.socketPath !== undefined ? { unix: target.socketPath } : {}),
      ...(typeof tls === "object" ? { tls } : {}),
    });
  } catch (error) {
    throw new DiscoveryError(`no agent answers at ${name}: ${firstSentence(error as Error)}`);
  }
  if (response.status === 401) {
    throw new DiscoveryError(`the agent at ${name} asks for a token: give --token-file`, true);
  }
  const health = (await response.json().catch(() => undefined)) as HealthResponse | undefined;
  if (!response.ok || health?.status !== "healthy") {
    throw new DiscoveryError(`what answers at ${name} is not a microview agent`);
  }
  if (health.layoutVersion !== LAYOUT_VERSION) {
    throw new DiscoveryError(
      `the agent at ${name} has layout version ${health.layoutVersion}, this collector reads ${LAYOUT_VERSION}`,
      true,
    );
  }
  return health;
}

/** Without the advice for web pages that Bun adds. */
function firstSentence({ message }: Error): string {
  return message.split(". ")[0]!;
}

/** Why an agent's pools cannot be mapped from here, or undefined when they can. */
function obstacleToMapping(health: HealthResponse): string | undefined {
  const bootId = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
  if (health.bootId !== bootId) return "the agent is on another host: its pools cannot be mapped";
  for (const { path } of health.pools) {
    try {
      SharedFile.open(path, false).close();
    } catch (error) {
      return (error as Error).message;
    }
  }
  return undefined;
}

async function resolve(host: string): Promise<string> {
  try {
    return (await lookup(host)).address;
  } catch {
    throw new DiscoveryError(`the host ${host} is unknown`);
  }
}
