// What an agent answers about RDMA, checked before anything of it is used: it comes from another host.

import { foreignWords, PATH_MTUS_BYTES } from "../calling/index.ts";
import type {
  QueuePairResponse,
  RdmaRegion,
  RdmaResponse,
  RegionsResponse,
} from "../rest/index.ts";
import { type RemotePool, TransportError } from "./transport.ts";

const isCount = (value: unknown): value is number =>
  Number.isSafeInteger(value) && (value as number) >= 0;
const isWord = (value: unknown): value is number =>
  isCount(value) && (value as number) <= 0xffff_ffff;
const isMtu = (value: number) => PATH_MTUS_BYTES.some((bytes) => bytes === value);

/** The agent's list of pools, of which nothing is believed unseen. */
export function parsePools(answer: unknown): RemotePool[] | TransportError {
  const { endpoint, reason, pools }: Partial<RdmaResponse> = answer ?? {};
  if (endpoint === null) {
    const why = foreignWords(reason) ?? "it gives no reason";
    return new TransportError(`the agent serves no RDMA: ${why}`);
  }
  const fits = (pool: Partial<RemotePool> | null) =>
    isCount(pool?.id) &&
    isCount(pool.poolId) &&
    isCount(pool.fileBytes) &&
    typeof pool.app === "string";
  if (!Array.isArray(pools) || !pools.every(fits)) {
    return new TransportError("the agent's list of pools cannot be read");
  }
  return pools.map(({ id, app, poolId, fileBytes }) => ({ id, app, poolId, fileBytes }));
}

/** Regions as an agent of ours gives them, or undefined. */
export function parseRegions(answer: unknown): RdmaRegion[] | undefined {
  const { regions }: Partial<RegionsResponse> = answer ?? {};
  const fits = (region: Partial<RdmaRegion> | null) =>
    isCount(region?.offset) && isCount(region.bytes) && region.bytes > 0 && isWord(region.key);
  return Array.isArray(regions) && regions.every(fits) ? regions : undefined;
}

/** @throws TransportError for an answer that no agent of ours gives */
export function parseQueuePair(answer: unknown): QueuePairResponse {
  const found: Partial<QueuePairResponse> = answer ?? {};
  const { id, number, psn, gid, lid, mtu, reads, manager } = found;
  const regions = parseRegions(answer);
  const numbers = isWord(id) && isWord(number) && isWord(psn) && isWord(lid);
  const path = isWord(mtu) && isMtu(mtu) && isWord(reads) && reads <= 255;
  const address = typeof gid === "string" && /^([0-9a-f]{32})?$/.test(gid);
  if (!numbers || !path || reads === 0 || !address || regions === undefined) {
    throw new TransportError("the agent's answer to a queue pair makes no sense");
  }
  const pair = { id, number, psn, gid, lid, mtu, reads, regions };
  return manager === undefined ? pair : { ...pair, manager };
}
