// The mocked RDMA library (c/verbs_mock.h) and a sysfs that shows its device: agents and collectors of this process
// read each other's memory by it as if there were a network card. One test at a time may use it.

import { dlopen } from "bun:ffi";
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { RdmaOptions } from "../../src/agent/rdma/rdma.ts";
import { VERBS_DEFAULTS, type VerbsOptions } from "../../src/collector/index.ts";
import { ROOT } from "./host.ts";

export const MOCK_LIBRARY = join(ROOT, "build/libibverbs-mock.so");

const MOCK_MANAGER = join(ROOT, "build/librdmacm-mock.so");

/** The GID of the mocked device, ::ffff:192.0.2.1. */
export const MOCK_GID = "00000000000000000000ffffc0000201";

function load() {
  if (!existsSync(MOCK_LIBRARY) || !existsSync(MOCK_MANAGER)) {
    const { success, stderr } = Bun.spawnSync(["make", "-C", ROOT, "mock"], { stderr: "pipe" });
    if (!success) throw new Error(`the mocked RDMA library cannot be built: ${stderr}`);
  }
  return dlopen(MOCK_LIBRARY, {
    mock_live_contexts: { args: [], returns: "u32" },
    mock_live_domains: { args: [], returns: "u32" },
    mock_live_regions: { args: [], returns: "u32" },
    mock_live_queue_pairs: { args: [], returns: "u32" },
    mock_live_completion_queues: { args: [], returns: "u32" },
    mock_live_channels: { args: [], returns: "u32" },
    mock_pinned_bytes: { args: [], returns: "f64" },
    mock_reads: { args: [], returns: "f64" },
    mock_bytes_read: { args: [], returns: "f64" },
    mock_posts: { args: [], returns: "f64" },
    mock_fail_next: { args: ["cstring", "i32"], returns: "i32" },
    mock_fail_after: { args: ["cstring", "u32", "i32"], returns: "i32" },
    mock_async_event: { args: ["u32", "u32"], returns: "i32" },
    mock_hold: { args: ["i32"], returns: "void" },
    mock_release: { args: ["u32"], returns: "u32" },
    mock_unreachable: { args: ["i32"], returns: "void" },
    mock_break: { args: ["u32"], returns: "i32" },
    mock_limit_sends: { args: ["u32"], returns: "void" },
    mock_limit_pinned: { args: ["f64"], returns: "void" },
    mock_present: { args: ["i32"], returns: "void" },
    mock_reset: { args: [], returns: "void" },
  }).symbols;
}

export class MockVerbs implements Disposable {
  readonly calls = load();
  readonly sysfs = mkdtempSync("/tmp/microview-sysfs-");

  constructor() {
    this.calls.mock_reset();
    const port = join(this.sysfs, "mock0/ports/1");
    const files = {
      state: "4: ACTIVE",
      link_layer: "Ethernet",
      lid: "0x0",
      "gids/0": "0000:0000:0000:0000:0000:ffff:c000:0201",
      "gid_attrs/types/0": "RoCE v2",
      "gid_attrs/ndevs/0": "eth0",
    };
    for (const [name, text] of Object.entries(files)) {
      const path = join(port, name);
      mkdirSync(join(path, ".."), { recursive: true });
      writeFileSync(path, `${text}\n`);
    }
  }

  get source(): { library: string; sysfs: string; manager: string } {
    return { library: MOCK_LIBRARY, sysfs: this.sysfs, manager: MOCK_MANAGER };
  }

  /** For an agent. */
  agent(some: Partial<RdmaOptions> = {}): { rdma: RdmaOptions } {
    return {
      rdma: { port: "auto", mtu: 4096, queuePairs: 64, source: this.source, ...some },
    };
  }

  /** For a collector. */
  collector(some: Partial<VerbsOptions> = {}): { transport: "verbs"; verbs: VerbsOptions } {
    return { transport: "verbs", verbs: { ...VERBS_DEFAULTS, source: this.source, ...some } };
  }

  failNext(call: string, errno: number, after = 0): void {
    const name = Buffer.from(`${call}\0`) as never;
    if (this.calls.mock_fail_after(name, after, errno) < 0) throw new Error(`no call ${call}`);
  }

  /** What is open of the library now. */
  get live() {
    const { calls } = this;
    return {
      contexts: calls.mock_live_contexts(),
      domains: calls.mock_live_domains(),
      regions: calls.mock_live_regions(),
      queuePairs: calls.mock_live_queue_pairs(),
      pinnedBytes: calls.mock_pinned_bytes(),
    };
  }

  [Symbol.dispose](): void {
    this.calls.mock_reset();
    rmSync(this.sysfs, { recursive: true, force: true });
  }
}

/** Of {@link MockVerbs.live} when nothing is. */
export const NOTHING_LIVE = {
  contexts: 0,
  domains: 0,
  regions: 0,
  queuePairs: 0,
  pinnedBytes: 0,
};
