// Lakes for tests: in this process, and in one of their own that can be killed; and segments to give them.

import { join } from "node:path";
import { createLog } from "../../src/guard/index.ts";
import { Catalogue, type Lake, type LakeOptions, startLake } from "../../src/lake/index.ts";
import {
  type BlockOrigin,
  blankLogs,
  decodeBlock,
  encodeBlock,
  encodeSegment,
} from "../../src/layout/index.ts";
import { allRowsOf, noColumns, ORIGIN, tableOf, unzstd, zstd } from "./blocks.ts";
import type { TestHost } from "./host.ts";
import { LoggedProcess, type LogLine } from "./logged-process.ts";
import { until } from "./wait.ts";

export type { Lake };

/** 2026-12-01T00:00:00Z. */
export const DAY_NS = 1_796_083_200_000_000_000n;

/** A lake in this process, with what it logs. It ends with the host. */
export async function lakeOf(
  host: TestHost,
  options: Partial<LakeOptions> = {},
): Promise<{ lake: Lake; log: LogLine[] }> {
  const log: LogLine[] = [];
  const lake = await startLake({
    dir: join(host.folder, "lake"),
    ...{ host: "127.0.0.1", port: 0, insecure: false, version: "0.0.0-test" },
    log: createLog("debug", true, (line) => log.push(JSON.parse(line))),
    ...options,
  });
  host.onEnd(() => lake.stop());
  return { lake, log };
}

/** `microview lake` as a process, from the command line. */
export class LakeProcess extends LoggedProcess {
  private constructor(host: TestHost, flags: readonly string[]) {
    const dir = flags.includes("--dir") ? [] : ["--dir", join(host.folder, "lake")];
    const port = flags.includes("--port") ? [] : ["--port", "0"];
    super(host, [...host.microview, "lake", ...dir, ...port, "--json-logs", ...flags]);
  }

  /** Returns when it takes calls. @throws Error with what it has said when it ends before */
  static async start(host: TestHost, ...flags: string[]): Promise<LakeProcess> {
    const lake = new LakeProcess(host, flags);
    await until("the lake is open", async () => {
      if (lake.child.exitCode !== null) await lake.exited();
      return lake.child.exitCode !== null || lake.find("the lake is open");
    });
    if (lake.child.exitCode !== null) throw new Error(`it ended: ${lake.stray}`);
    return lake;
  }

  get url(): string {
    return this.find("the lake is open")!["url"] as string;
  }
}

type Origin = Partial<Omit<BlockOrigin, "process" | "stream">> & {
  stream?: Partial<BlockOrigin["stream"]>;
  process?: Partial<BlockOrigin["process"]>;
};

/** A block of logs, a millisecond apart; their messages are numbers that go on from block to block. */
export function logBlock(rows: number, origin: Origin = {}, fromNs = DAY_NS): Uint8Array {
  const { first = 0, end = first + rows } = origin;
  const logs = Array.from({ length: rows }, (_, i) => ({
    timeNs: fromNs + BigInt(first + i) * 1_000_000n,
    ...{ level: 3, target: "test", message: String(first + i), spanId: 0n, properties: "" },
  }));
  return encodeBlock(
    {
      ...{ ...ORIGIN, ...origin, first, end },
      stream: { ...ORIGIN.stream, ...origin.stream },
      process: { ...ORIGIN.process, ...origin.process },
    },
    { ...noColumns(), logs: tableOf(blankLogs(rows), logs) },
    zstd,
  );
}

/** An id as agents make them: 32 hex digits that no other segment has. */
export function newSegmentId(): string {
  return crypto.randomUUID().replaceAll("-", "");
}

export async function putSegment(
  url: string,
  id: string,
  blocks: readonly Uint8Array[],
  headers: Record<string, string> = {},
): Promise<Response> {
  const body = encodeSegment(blocks);
  return fetch(`${url}/v1/segments/${id}`, { method: "PUT", body, headers, keepalive: false });
}

type Row = Record<string, unknown>;

/** What is in the blobs of a lake's folder, with the processes it is of. */
export async function keptIn(dir: string) {
  const catalogue = await Catalogue.open(join(dir, "catalogue.sqlite"));
  const blobs = (key: string) => Bun.file(join(dir, "blobs", key));
  try {
    const blocks = await catalogue.blocksIn(ALL);
    const all = { logs: [] as Row[], measures: [] as Row[], spans: [] as Row[] };
    for (const { blob, blobOffset, blobBytes } of blocks) {
      const bytes = await blobs(blob)
        .slice(blobOffset, blobOffset + blobBytes)
        .bytes();
      const rows = allRowsOf(decodeBlock(bytes, unzstd));
      for (const table of ["logs", "measures", "spans"] as const) all[table].push(...rows[table]);
    }
    return { ...all, blocks, processes: await catalogue.processesIn(ALL) };
  } finally {
    await catalogue.close();
  }
}

const ALL = { fromNs: 0n, toNs: 1n << 62n };
