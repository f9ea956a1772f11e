// What an agent says of itself, read once for all who ask. What answers need not be an agent, nor one of this version.

import { fieldsOf, isCount } from "./fields.ts";
import { foreignWords } from "./foreign-words.ts";

/** A pool of an agent, as far as it is told. */
export interface PoolHealth {
  app: string;
  path: string;
  poolId: number;
  /** Why it is not under its path. */
  lost?: string;
}

/** The part of the contract's HealthResponse that callers use. */
export interface Health {
  status: "healthy" | "unhealthy";
  problems: { message: string; hint: string }[];
  version: string;
  layoutVersion: number;
  pid: number;
  bootId: string;
  uid?: number;
  poolDir: string | null;
  dataPort: number;
  pools: PoolHealth[];
}

/** @returns undefined for what no agent says */
export function healthOf(answer: unknown): Health | undefined {
  const given = fieldsOf<Health>(answer);
  const { version, layoutVersion, pools, pid, uid, dataPort, poolDir, bootId } = given;
  const name = foreignWords(version);
  if (name === undefined || typeof layoutVersion !== "number") return undefined;
  if (!Array.isArray(pools)) return undefined;
  const problems = Array.isArray(given.problems) ? given.problems.map(problemOf) : [];
  return {
    status: given.status === "unhealthy" || problems.length > 0 ? "unhealthy" : "healthy",
    problems,
    version: name,
    layoutVersion,
    pid: isCount(pid) ? pid : 0,
    bootId: typeof bootId === "string" ? bootId : "",
    poolDir: typeof poolDir === "string" ? poolDir : null,
    dataPort: isCount(dataPort) ? dataPort : 0,
    pools: pools.map(poolOf).filter((pool) => pool !== undefined),
    ...(isCount(uid) ? { uid } : {}),
  };
}

function problemOf(value: unknown): Health["problems"][number] {
  const { message, hint } = fieldsOf<Health["problems"][number]>(value);
  return {
    message: foreignWords(message) ?? "it gives no reason",
    hint: foreignWords(hint) ?? "see its log",
  };
}

function poolOf(value: unknown): PoolHealth | undefined {
  const { app, path, poolId, lost } = fieldsOf<PoolHealth>(value);
  if (typeof app !== "string" || typeof path !== "string" || !isCount(poolId)) return undefined;
  const why = foreignWords(lost);
  return { app, path, poolId, ...(why === undefined ? {} : { lost: why }) };
}
