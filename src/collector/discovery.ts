// Finds out how an agent is best read: asks its REST port, maps its pools when they lie on this host, and looks whether
// both sides have RDMA.

import { lookup } from "node:dns/promises";
import { readFileSync } from "node:fs";
import { fieldsOf, foreignWords, type Health, healthOf } from "../calling/index.ts";
import {
  chooseRdmaPort,
  ipv4OfGid,
  listRdmaPorts,
  loadVerbs,
  openOwned,
  ownerOfSocket,
  ownUids,
  RDMA_SYSFS,
  type RdmaChoice,
  type RdmaPortSpec,
} from "../ffi/index.ts";
import { byProxy, failureOf } from "../http/index.ts";
import { isReadableVersion, READABLE_VERSIONS, SHM_DIR } from "../layout/index.ts";
import type { ApiError } from "../rest/index.ts";
import {
  AgentClient,
  type Credentials,
  socketOf,
  type Target,
  targetAddress,
} from "./agent-client.ts";
import { type MatchedEndpoint, parseEndpoint } from "./verbs-answers.ts";
import type { TargetSpec } from "./worker-protocol.ts";

export type TransportChoice = "auto" | "mmap" | "tcp" | "verbs";

/** How this side reads by RDMA. */
export interface VerbsOptions {
  /** Device to use; undefined takes the first active port. */
  port?: RdmaPortSpec;
  /** Largest path MTU, in bytes. */
  mtu: number;
  /** Acknowledgement timeout as the exponent of 4.096 µs · 2^n. */
  timeout: number;
  retries: number;
  /** Connects by rdma_cm instead of over REST alone. */
  manager: boolean;
  /** Other libraries, and where devices are listed; for tests. */
  source?: { library: string; sysfs: string; manager?: string };
}

/** The exponent n for which an acknowledgement timeout of 4.096 µs · 2^n is the first that is no shorter. */
export function timeoutExponent(timeoutMs: number): number {
  const exponent = Math.ceil(Math.log2((timeoutMs * 1000) / 4.096) - 1e-3);
  return Math.min(31, Math.max(1, exponent));
}

/** 2^14 · 4.096 µs = 67 ms, some times: a path that is gone is noticed within seconds. Soft-RoCE takes 7 for endless. */
export const VERBS_DEFAULTS: VerbsOptions = { mtu: 4096, timeout: 14, retries: 6, manager: false };

export interface DiscoveryOptions extends Credentials {
  transport: TransportChoice;
  verbs: VerbsOptions;
  /** Why RDMA is not tried this time. */
  avoidVerbs?: string;
}

/** How pools of this host are mapped. */
export type MappedSpec = Extract<TargetSpec, { transport: "mmap" }>;

/** How an agent is read, and what speaks against a better way, if somebody could expect it. */
export interface Discovered {
  spec: TargetSpec;
  note?: string;
  /** Where pools are looked for, for people. */
  where: string;
  /** Why pools are mapped without an agent, when nobody has asked for that. */
  agentless?: string;
  /** Ids of the agent's pools, as far as it shows them: no other agent has any of them. */
  poolIds?: readonly number[];
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

/** The agent answers, and does not let this collector in. */
export class RefusedError extends DiscoveryError {
  constructor(message: string) {
    super(message, true);
  }
}

/** @throws DiscoveryError when the agent does not answer, refuses, or cannot be read by the transport asked for */
export async function discover(target: Target, options: DiscoveryOptions): Promise<Discovered> {
  const { transport, verbs, avoidVerbs } = options;
  const isLocal = target.host === undefined;
  if (isLocal && (transport === "auto" || transport === "mmap")) {
    return mapLocal(target, options);
  }
  const agent = new AgentClient(target, options);
  const health = await askHealth(agent);
  const poolIds = poolIdsOf(health);
  if (transport === "auto" || transport === "mmap") {
    const obstacle = obstacleToMapping(health);
    if (obstacle === undefined) {
      const spec = mapped(health.poolDir, health.uid);
      return { spec, where: placeOf(target, health), poolIds };
    }
    if (transport === "mmap") throw new DiscoveryError(obstacle, true);
  }
  const where = `the agent at ${targetAddress(target)}`;
  let note: string | undefined;
  if (transport === "verbs" || transport === "auto") {
    const found = avoidVerbs ?? (await discoverVerbs(agent, verbs));
    if (typeof found !== "string") return { spec: found, where, poolIds };
    if (transport === "verbs") throw new DiscoveryError(`cannot read by RDMA: ${found}`);
    note = found;
  }
  if (health.dataPort === 0) throw new DiscoveryError("the agent does not serve a data port");
  const host = isLocal ? "127.0.0.1" : await resolve(target.host!);
  const spec: TargetSpec = {
    transport: "tcp",
    host,
    port: health.dataPort,
    token: options.token ?? "",
  };
  return note === undefined ? { spec, where, poolIds } : { spec, where, poolIds, note };
}

/** This host's pools need no agent to be mapped. */
async function mapLocal(target: Target, options: DiscoveryOptions): Promise<Discovered> {
  const { poolDir, mustAnswer } = target;
  const owner = ownerOfSocket(socketOf(target));
  if (poolDir !== undefined) return { spec: mapped(poolDir, owner), where: poolDir };
  try {
    const health = await askHealth(new AgentClient(target, options));
    const spec = mapped(health.poolDir, owner);
    return { spec, where: placeOf(target, health), poolIds: poolIdsOf(health) };
  } catch (error) {
    if (mustAnswer === true) throw error;
    const agentless = `${(error as Error).message}; the pools in ${SHM_DIR} are read without one`;
    const where = `${SHM_DIR}, nor an agent at ${targetAddress(target)}`;
    return { spec: mapped(null, owner), where, agentless };
  }
}

function poolIdsOf({ pools }: Health): number[] {
  return pools.map(({ poolId }) => poolId);
}

function placeOf(target: Target, { poolDir }: Health): string {
  return `${foreignWords(poolDir) ?? SHM_DIR}, where the agent at ${targetAddress(target)} keeps its pools`;
}

/** How pools are mapped now by what an agent says; undefined when none answers that can be read. */
export async function mappedNow(
  target: Target,
  options: DiscoveryOptions,
): Promise<MappedSpec | undefined> {
  try {
    const { poolDir, uid } = await askHealth(new AgentClient(target, options));
    return mapped(poolDir, target.host === undefined ? ownerOfSocket(socketOf(target)) : uid);
  } catch {
    return undefined;
  }
}

/** @param agent the user that the agent runs as, if that is known */
function mapped(poolDir: string | null, agent: number | undefined): MappedSpec {
  return { transport: "mmap", poolDir, uids: ownUids(agent) };
}

async function askHealth(agent: AgentClient): Promise<Health> {
  const { name } = agent;
  let response: Response;
  try {
    response = await agent.fetch("GET", "/health");
  } catch (error) {
    const reason = await failureOf(error, {
      url: agent.url("/health"),
      ...(agent.target.host === undefined ? { socketPath: targetAddress(agent.target) } : {}),
      flags: { ca: "--ca", identity: "--client-cert and --client-key", tls: "--tls or --ca" },
      ...(agent.credentials.tls === undefined ? {} : { tls: agent.credentials.tls }),
    });
    throw new DiscoveryError(`no agent answers at ${targetAddress(agent.target)}: ${reason}`);
  }
  const answer = await agent.answerOf(response);
  const { code, message } = fieldsOf<ApiError>(answer);
  const words = foreignWords(message) ?? "it gives no reason";
  if (response.status === 401 && code !== "expired-token") {
    throw new RefusedError(
      agent.credentials.token === undefined
        ? `the agent at ${name} asks for a token: give --token-file`
        : `the agent at ${name} does not know the token that it was sent: see --token-file there and here`,
    );
  }
  if (response.status === 429) {
    throw new DiscoveryError(`the agent at ${name} asks to wait: ${words}`);
  }
  if (response.status === 401 || response.status === 403) {
    throw new RefusedError(`the agent at ${name} refuses: ${words}`);
  }
  const health = response.ok ? healthOf(answer) : undefined;
  if (health === undefined) {
    throw new DiscoveryError(
      `what answers at ${name}${byProxy(agent.url("/"))} is not a microview agent`,
    );
  }
  if (!isReadableVersion(health.layoutVersion)) {
    throw new DiscoveryError(
      `the agent at ${name} has layout version ${health.layoutVersion}, this collector reads ${READABLE_VERSIONS}`,
      true,
    );
  }
  return health;
}

/** How to read by RDMA (the session is still to be opened), or what is missing for it. */
async function discoverVerbs(
  agent: AgentClient,
  options: VerbsOptions,
): Promise<TargetSpec | string> {
  const { source, port: wanted, mtu, timeout, retries } = options;
  const library = source?.library ?? "";
  const ports = listRdmaPorts(source?.sysfs ?? RDMA_SYSFS);
  let endpoint: MatchedEndpoint;
  let choice: RdmaChoice;
  try {
    // Said first: on most hosts it is all that there is to say.
    choice = chooseRdmaPort(ports, wanted);
    loadVerbs(library);
    const found = parseEndpoint(
      await agent.ask({ call: "GET /v1/rdma", values: {}, body: undefined }),
    );
    if (typeof found === "string") return found;
    endpoint = found;
    choice = chooseRdmaPort(ports, wanted, endpoint.gidType);
  } catch (error) {
    return (error as Error).message;
  }
  const { port, gid } = choice;
  const here = `${port.device}:${port.port}`;
  if (port.linkLayer !== endpoint.linkLayer) {
    return `${here} is on ${port.linkLayer}, the agent on ${endpoint.linkLayer}`;
  }
  if (gid !== undefined && gid.type !== endpoint.gidType) {
    return `${here} speaks ${gid.type}, the agent ${endpoint.gidType}`;
  }
  if (options.manager && endpoint.managerPort === null) {
    return "the agent does not listen by rdma_cm: it was started without --rdma-cm-port";
  }
  return {
    transport: "verbs",
    device: port.device,
    port: port.port,
    gid: gid?.gid ?? "",
    gidIndex: gid?.index ?? 0,
    lid: port.lid,
    mtu,
    timeout,
    retries,
    session: "",
    library,
    manager: options.manager
      ? { host: await managerHost(agent, endpoint), library: source?.manager ?? "" }
      : null,
  };
}

/** Where rdma_cm finds the agent: the address of its RDMA port if that is one of IPv4, else where REST is. */
async function managerHost(agent: AgentClient, { gid }: MatchedEndpoint): Promise<string> {
  return ipv4OfGid(gid) ?? resolve(agent.target.host ?? "127.0.0.1");
}

/** Why an agent's pools cannot be mapped from here, or undefined when they can. */
function obstacleToMapping(health: Health): string | undefined {
  const bootId = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
  if (health.bootId !== bootId) return "the agent is on another host: its pools cannot be mapped";
  const owners = {
    uids: ownUids(health.uid),
    ...(health.poolDir === null ? {} : { folder: health.poolDir }),
  };
  for (const { path } of health.pools) {
    try {
      openOwned(path, false, owners).close();
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
