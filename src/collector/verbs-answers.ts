// What an agent answers about RDMA, checked before anything of it is used: it comes from another host.

import { fieldsOf, foreignWords, isCount, PATH_MTUS_BYTES } from "../calling/index.ts";
import type {
  QueuePairResponse,
  RdmaEndpoint,
  RdmaRegion,
  RdmaResponse,
  RegionsResponse,
} from "../rest/index.ts";
import { type RemotePool, TransportError } from "./transport.ts";

const isWord = (value: unknown): value is number => isCount(value) && value <= 0xffff_ffff;
const isMtu = (value: unknown): value is number => PATH_MTUS_BYTES.some((bytes) => bytes === value);
const isGid = (value: unknown): value is string =>
  typeof value === "string" && /^([0-9a-f]{32})?$/.test(value);

/** What a collector has to match of the agent's end of RDMA. */
export type MatchedEndpoint = Pick<RdmaEndpoint, "linkLayer" | "gid" | "gidType" | "managerPort">;

/** @returns why there is none, in words */
export function parseEndpoint(answer: unknown): MatchedEndpoint | string {
  const { endpoint, reason } = fieldsOf<RdmaResponse>(answer);
  if (endpoint === null) return noRdma(reason).message;
  const { linkLayer, gid, gidType, managerPort } = fieldsOf<RdmaEndpoint>(endpoint);
  const isLayer = linkLayer === "InfiniBand" || linkLayer === "Ethernet";
  const isPort = managerPort === null || isCount(managerPort);
  if (!isLayer || !isGid(gid) || typeof gidType !== "string" || !isPort) {
    return "the agent's answer about RDMA makes no sense";
  }
  return { linkLayer, gid, gidType, managerPort };
}

/** The agent's list of pools, of which nothing is believed unseen. */
export function parsePools(answer: unknown): RemotePool[] | TransportError {
  const { endpoint, reason, pools } = fieldsOf<RdmaResponse>(answer);
  if (endpoint === null) return noRdma(reason);
  const found = listOf(pools, parsePool);
  return found ?? new TransportError("the agent's list of pools cannot be read");
}

function parsePool(value: unknown): RemotePool | undefined {
  const { id, app, poolId, fileBytes } = fieldsOf<RemotePool>(value);
  if (!isCount(id) || !isCount(poolId) || !isCount(fileBytes)) return undefined;
  return typeof app === "string" ? { id, app, poolId, fileBytes } : undefined;
}

/** Regions as an agent of ours gives them, or undefined. */
export function parseRegions(answer: unknown): RdmaRegion[] | undefined {
  return listOf(fieldsOf<RegionsResponse>(answer).regions, (value) => {
    const { offset, bytes, key } = fieldsOf<RdmaRegion>(value);
    if (!isCount(offset) || !isCount(bytes) || bytes === 0 || !isWord(key)) return undefined;
    return { offset, bytes, key };
  });
}

/** @throws TransportError for an answer that no agent of ours gives */
export function parseQueuePair(answer: unknown): QueuePairResponse {
  const pair = queuePairIn(answer);
  if (pair === undefined) {
    throw new TransportError("the agent's answer to a queue pair makes no sense");
  }
  return pair;
}

function queuePairIn(answer: unknown): QueuePairResponse | undefined {
  const { id, number, psn, gid, lid, mtu, reads, manager } = fieldsOf<QueuePairResponse>(answer);
  const regions = parseRegions(answer);
  if (regions === undefined || !isGid(gid) || !isMtu(mtu)) return undefined;
  if (!isWord(id) || !isWord(number) || !isWord(psn) || !isWord(lid)) return undefined;
  if (!isWord(reads) || reads === 0 || reads > 255) return undefined;
  const pair = { id, number, psn, gid, lid, mtu, reads, regions };
  if (manager === undefined) return pair;
  const { port, ticket } = fieldsOf<NonNullable<QueuePairResponse["manager"]>>(manager);
  if (!isCount(port) || port > 0xffff || typeof ticket !== "string") return undefined;
  return { ...pair, manager: { port, ticket } };
}

function noRdma(reason: unknown): TransportError {
  return new TransportError(
    `the agent has no RDMA: ${foreignWords(reason) ?? "it gives no reason"}`,
  );
}

/** A list whose entries are all as they should be, or undefined. */
function listOf<T>(value: unknown, parse: (entry: unknown) => T | undefined): T[] | undefined {
  if (!Array.isArray(value)) return undefined;
  const found = value.map(parse).filter((entry) => entry !== undefined);
  return found.length === value.length ? found : undefined;
}
