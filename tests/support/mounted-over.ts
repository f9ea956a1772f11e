// A folder of pools that is covered by another one, with a pool of the same name and the same inode in it: says who has
// noticed. Runs where it may mount.

import { lstatSync, mkdirSync } from "node:fs";
import { dirname } from "node:path";
import { Pool } from "../../src/agent/pool/pool.ts";
import { Application } from "../../src/agent/registry/application.ts";
import { DEFAULT_LIMITS } from "../../src/agent/registry/limits.ts";
import { STRATEGIES } from "../../src/agent/registry/strategies/index.ts";
import { Attachment } from "../../src/client/attachment.ts";
import { MmapTransport } from "../../src/collector/mmap-transport.ts";
import type { RemotePool } from "../../src/collector/transport.ts";
import { PoolFile } from "../../src/inspector/pool-file.ts";
import { poolPath } from "../../src/layout/index.ts";

const [poolDir = ""] = process.argv.slice(2);
const path = poolPath("shop", poolDir);

/** A file system of its own, in which the pool is the first thing that is made. */
function cover(): Pool {
  const mounted = Bun.spawnSync(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", poolDir]);
  if (!mounted.success) throw new Error(mounted.stderr.toString());
  mkdirSync(dirname(path));
  return Pool.create(path, "shop", { mode: 0o660, sizes: { pageCapacity: 64 } });
}

/** Id of the pool that a collector reads. */
function readBy(transport: MmapTransport): number | undefined {
  let found: RemotePool[] | Error = [];
  transport.list((pools) => {
    found = pools;
  });
  return (found as RemotePool[])[0]?.poolId;
}

const pool = cover();
const unheard = new Proxy({}, { get: () => () => {} }) as Application["events"];
const application = new Application(pool, DEFAULT_LIMITS, STRATEGIES.page, unheard);
const writer = application.attach({ service: "auth", pid: process.pid, threadId: 0 });
const { poolId, pagesOffset } = pool.header;
const attachment = Attachment.open(
  {
    writer: writer.id,
    secret: "",
    pool: { path, poolId, lineage: poolId, replacements: 0, pagesOffset },
    lock: { offset: writer.lockOffset, bytes: writer.lockBytes },
    extents: writer.grants,
  },
  "shop",
  poolDir,
)!;
const transport = new MmapTransport(poolDir);
const inspected = PoolFile.open(path);
const before = {
  read: readBy(transport) === poolId,
  attached: attachment.isCurrent,
  inspected: inspected.isCurrent,
};
const { ino } = lstatSync(path);
const other = cover();
const after = {
  read: readBy(transport) === other.header.poolId,
  attached: attachment.isCurrent,
  inspected: inspected.isCurrent,
};
process.stdout.write(JSON.stringify({ sameInode: lstatSync(path).ino === ino, before, after }));
