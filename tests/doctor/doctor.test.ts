import { describe, expect, test } from "bun:test";
import { mkdirSync, renameSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import {
  type ExamineOptions,
  examine,
  type Finding,
  type HealthAnswer,
  type Host,
  hostAt,
} from "../../src/doctor/index.ts";
import { HEADER, LAYOUT_VERSION } from "../../src/layout/index.ts";
import { addShop, PoolDirectory } from "../inspector/pools.ts";
import { Authority } from "../support/certificates.ts";
import { TestHost } from "../support/host.ts";
import { Scratch } from "../support/pools.ts";

const scratch = new Scratch();
const VERSION = "1.2.3";
const GIB = 2 ** 30;

/** Files of a host on which all is well. */
const WELL: Readonly<Record<string, string>> = {
  "/proc/sys/kernel/osrelease": "6.1.0-test\n",
  "/proc/self/mounts":
    "overlay / overlay rw 0 0\ntmpfs /dev/shm tmpfs rw,nosuid,nodev,size=4194304k 0 0\n",
  "/proc/self/limits": [
    "Limit                     Soft Limit           Hard Limit           Units     ",
    "Max open files            1024                 1048576              files     ",
    "Max locked memory         8388608              8388608              bytes     ",
  ].join("\n"),
  "/proc/self/status": "Name:\tbun\nCapEff:\t000001ffffffffff\n",
  "/proc/self/timerslack_ns": "50000\n",
  "/sys/devices/system/clocksource/clocksource0/current_clocksource": "tsc\n",
  "/sys/class/infiniband/mlx5_0/ports/1/state": "4: ACTIVE\n",
  "/sys/class/infiniband/mlx5_0/ports/1/link_layer": "Ethernet\n",
  "/sys/class/infiniband/mlx5_0/ports/1/gids/0": "fe80:0000:0000:0000:0e42:a1ff:fe00:0001\n",
  "/sys/class/infiniband/mlx5_0/ports/1/gids/3": "0000:0000:0000:0000:0000:ffff:0a00:0005\n",
  "/sys/class/infiniband/mlx5_0/ports/1/gids/4": "0000:0000:0000:0000:0000:0000:0000:0000\n",
  "/sys/class/infiniband/mlx5_0/ports/1/gid_attrs/types/0": "IB/RoCE v1\n",
  "/sys/class/infiniband/mlx5_0/ports/1/gid_attrs/types/3": "RoCE v2\n",
  "/sys/class/infiniband/mlx5_0/ports/1/gid_attrs/ndevs/3": "eth0\n",
  "/dev/infiniband/uverbs0": "",
  "/usr/lib/x86_64-linux-gnu/libibverbs.so.1": "",
  "/sys/kernel/btf/vmlinux": "",
  "/sys/kernel/security/lockdown": "none [integrity] confidentiality\n",
  "/sys/fs/cgroup/cgroup.controllers": "cpu memory\n",
  "/dev/shm/.keep": "",
  "/run/agent.sock": "",
};

/** What makes it a host without RDMA. */
const NO_RDMA = Object.fromEntries(
  Object.keys(WELL)
    .filter((path) => path.includes("infiniband"))
    .map((path) => [path, undefined]),
);

/** A host that differs from a good one in some files; undefined takes a file away. */
function host(
  files: Readonly<Record<string, string | undefined>> = {},
  some: Partial<Host> = {},
): Host {
  const root = scratch.path();
  for (const [path, text] of Object.entries({ ...WELL, ...files })) {
    if (text === undefined) continue;
    mkdirSync(dirname(root + path), { recursive: true });
    writeFileSync(root + path, text);
  }
  return {
    ...hostAt(root),
    platform: "linux",
    architecture: "x64",
    space: () => ({ totalBytes: 4 * GIB, freeBytes: 3 * GIB }),
    ...some,
  };
}

const HEALTHY: HealthAnswer = {
  kind: "answer",
  status: 200,
  body: {
    version: VERSION,
    layoutVersion: LAYOUT_VERSION,
    pid: 77,
    pools: [{ app: "shop", path: "/dev/shm/microview.shop", poolId: 1 }],
  },
};

function defaults(): ExamineOptions {
  return {
    version: VERSION,
    socketPath: "/run/agent.sock",
    host: host(),
    ask: async () => HEALTHY,
    loadNative: () => {},
    probe: () => [0.05, 0.06, 0.2],
    // An empty directory: no test sees the pools of its own host. It is not below the root that `host` shows.
    poolDir: new PoolDirectory(scratch).path,
  };
}

function findings(some: Partial<ExamineOptions> = {}): Promise<Finding[]> {
  return examine({ ...defaults(), ...some });
}

/** What is said of one check, on a host that differs in some way. */
async function finding(id: string, some: Partial<ExamineOptions> = {}): Promise<Finding> {
  const all = await findings(some);
  const found = all.find((each) => each.id === id);
  if (found === undefined) throw new Error(`no ${id} among ${all.map((each) => each.id)}`);
  return found;
}

/** The check of /dev/shm, which needs that no pool directory is named. */
async function sharedMemory(of: Host): Promise<Finding> {
  const { checkSharedMemory } = await import("../../src/doctor/memory.ts");
  return checkSharedMemory(of);
}

describe("a host on which all is well", () => {
  test("has nothing but ok, and no advice", async () => {
    const { checkSharedMemory } = await import("../../src/doctor/memory.ts");
    const all = (await findings()).filter(({ id }) => id !== "shared-memory");
    expect(all.filter(({ level }) => level !== "ok")).toEqual([]);
    expect(all.filter(({ advice }) => advice !== undefined)).toEqual([]);
    expect(checkSharedMemory(host())).toMatchObject({
      level: "ok",
      finding: "/dev/shm: 3 GiB free of 4 GiB (tmpfs, rw,nosuid,nodev,size=4194304k)",
    });
  });
});

describe("what is missing", () => {
  test("always comes with what to do", async () => {
    const bare = await findings({
      host: {
        ...hostAt(scratch.path()),
        platform: "darwin",
      },
      ask: async () => ({ kind: "refused", code: "ECONNREFUSED" }),
      loadNative: () => {
        throw new Error("no such library");
      },
    });
    const lacking = bare.filter(({ level }) => level !== "ok");
    expect(lacking.length).toBeGreaterThan(8);
    for (const { advice } of lacking) expect(advice).toMatch(/\w{3}/);
  });

  test("fails only where all of microview needs it", async () => {
    const all = await findings({
      host: host({
        "/sys/kernel/btf/vmlinux": undefined,
        "/usr/lib/x86_64-linux-gnu/libibverbs.so.1": undefined,
        "/proc/self/status": "CapEff:\t0000000000000000\n",
        "/sys/fs/cgroup/cgroup.controllers": undefined,
        "/sys/kernel/security/lockdown": "none integrity [confidentiality]\n",
      }),
    });
    const ids = all.filter(({ level, need }) => level === "warn" && need !== "core");
    expect(ids.map(({ id }) => id)).toEqual([
      "rdma-library",
      "locked-memory",
      "bpf",
      "bpf-rights",
      "lockdown",
      "cgroups",
    ]);
    expect(all.filter(({ level, need }) => level === "fail" && need !== "core")).toEqual([]);
  });
});

describe("the kernel", () => {
  test("that is not Linux, or an unknown processor, fails", async () => {
    expect(await finding("kernel", { host: host({}, { platform: "darwin" }) })).toMatchObject({
      level: "fail",
    });
    expect(await finding("kernel", { host: host({}, { architecture: "ppc64" }) })).toMatchObject({
      level: "fail",
    });
  });

  test("that is old is a warning", async () => {
    const old = host({ "/proc/sys/kernel/osrelease": "3.10.0-1160.el7\n" });
    expect(await finding("kernel", { host: old })).toMatchObject({ level: "warn" });
    expect(await finding("bpf", { host: old })).toMatchObject({ level: "warn" });
  });
});

describe("shared memory", () => {
  test("that is not mounted, or read-only, fails", async () => {
    const none = host({ "/dev/shm/.keep": undefined });
    expect(await sharedMemory(none)).toMatchObject({ level: "fail" });
    const readOnly = host({ "/proc/self/mounts": "tmpfs /dev/shm tmpfs ro,nosuid 0 0\n" });
    expect((await sharedMemory(readOnly)).advice).toContain("read-only");
  });

  test("that is nearly full fails, and that is tight is a warning", async () => {
    const free = (freeBytes: number) => host({}, { space: () => ({ totalBytes: GIB, freeBytes }) });
    expect(await sharedMemory(free(1 << 20))).toMatchObject({ level: "fail" });
    const tight = await sharedMemory(free(32 << 20));
    expect(tight).toMatchObject({ level: "warn" });
    expect(tight.advice).toContain("--shm-size");
  });

  test("that this user may not write to fails", async () => {
    expect(await sharedMemory(host({}, { writable: () => false }))).toMatchObject({
      level: "fail",
      advice: expect.stringContaining("--pool-dir"),
    });
  });

  test("on a disk is a warning", async () => {
    const disk = host({ "/proc/self/mounts": "/dev/sda1 / ext4 rw 0 0\n" });
    expect(await sharedMemory(disk)).toMatchObject({ level: "warn" });
  });

  test("is looked for where the pools are", async () => {
    expect(await finding("shared-memory", { poolDir: "/nowhere" })).toMatchObject({
      level: "fail",
      finding: "/nowhere is not there",
    });
  });
});

describe("limits of a process", () => {
  const limits = (files: string, locked: string) =>
    `Limit  Soft  Hard  Units\nMax open files ${files} files\nMax locked memory ${locked} bytes\n`;

  test("to open files matter when they are low even at their highest", async () => {
    const low = host({ "/proc/self/limits": limits("1024 1024", "unlimited unlimited") });
    expect(await finding("open-files", { host: low })).toMatchObject({
      level: "warn",
      finding: "1024 per process",
    });
  });

  test("to locked memory matter only with an RDMA device and without the right to go beyond", async () => {
    const noRights = { "/proc/self/status": "CapEff:\t0000000000000000\n" };
    expect(await finding("locked-memory", { host: host(noRights) })).toMatchObject({
      level: "warn",
      finding: "8 MiB",
    });
    const noDevice = host({ ...noRights, ...NO_RDMA });
    expect(await finding("locked-memory", { host: noDevice })).toMatchObject({ level: "ok" });
    const unlimited = host({
      ...noRights,
      "/proc/self/limits": limits("4096 8192", "unlimited unlimited"),
    });
    expect(await finding("locked-memory", { host: unlimited })).toMatchObject({
      level: "ok",
      finding: "unlimited",
    });
  });
});

describe("the agent", () => {
  const socket = (answer: HealthAnswer, of: Host = host()) =>
    finding("agent-socket", { ask: async () => answer, host: of });
  const port = (answer: HealthAnswer) => finding("agent-port", { ask: async () => answer });
  const answer = (some: object): HealthAnswer => ({
    kind: "answer",
    status: 200,
    body: { ...(HEALTHY as { body: object }).body, ...some },
  });

  test("of the same version is fine", async () => {
    expect((await socket(HEALTHY)).finding).toBe(
      `/run/agent.sock: version ${VERSION}, layout ${LAYOUT_VERSION}, pid 77, 1 application`,
    );
  });

  test("of another version but the same layout is a warning", async () => {
    expect(await socket(answer({ version: "9.9.9" }))).toMatchObject({ level: "warn" });
  });

  test("of the layout before or after is a warning, for each reads what it knows", async () => {
    for (const layoutVersion of [LAYOUT_VERSION - 1, LAYOUT_VERSION + 1]) {
      const { level, advice } = await port(answer({ version: "9.9.9", layoutVersion }));
      expect([level, advice]).toEqual(["warn", expect.stringContaining("upgrade the older one")]);
    }
  });

  test("of a layout further away fails", async () => {
    expect(await port(answer({ layoutVersion: LAYOUT_VERSION + 2 }))).toMatchObject({
      level: "fail",
      advice: expect.stringContaining("reads layout versions 1 to 3"),
    });
  });

  test("that is not there is a warning that says how to start one", async () => {
    const none = await socket(
      { kind: "refused", code: "ENOENT" },
      host({ "/run/agent.sock": undefined }),
    );
    expect(none).toMatchObject({ level: "warn", finding: "there is no /run/agent.sock" });
    expect(none.advice).toContain("microview agent");
  });

  test("that died and left its socket is told from one that this user may not reach", async () => {
    const refused: HealthAnswer = { kind: "refused", code: "ECONNREFUSED" };
    expect(await socket(refused)).toMatchObject({
      level: "fail",
      finding: expect.stringContaining("nobody listens"),
    });
    expect((await socket(refused, host({}, { writable: () => false }))).finding).toContain(
      "may not connect",
    );
  });

  test("that hangs fails", async () => {
    expect(await socket({ kind: "silent" })).toMatchObject({ level: "fail" });
  });

  test("that cannot do its work fails, with its own reasons and what to do", async () => {
    const problems = [
      { message: "no pools can be kept", hint: "make room" },
      { message: "the socket is gone", hint: "look" },
    ];
    for (const found of [await socket(answer({ problems })), await port(answer({ problems }))]) {
      expect(found.level).toBe("fail");
      expect(found.finding).toEndWith(
        "cannot do its work: no pools can be kept; the socket is gone",
      );
      expect(found.advice).toBe("make room; look");
    }
    expect(await socket(answer({ problems: [] }))).toMatchObject({ level: "ok" });
    expect(await socket(answer({ problems: [null, 7] }))).toMatchObject({ level: "fail" });
  });

  test("that asks for a certificate is fine", async () => {
    expect(await port({ kind: "certificate-wanted" })).toMatchObject({ level: "ok" });
  });

  test("that asks for a token is fine", async () => {
    expect(await port({ kind: "answer", status: 401, body: {} })).toMatchObject({ level: "ok" });
  });

  test.each([
    ["nothing", undefined],
    ["null", null],
    ["a text", "hello"],
    ["a number", 7],
    ["a version that is a number", { version: 1, layoutVersion: 1, pools: [] }],
    ["no pools", { version: "1", layoutVersion: 1 }],
  ])("is not what answers with %s", async (_, body) => {
    expect((await port({ kind: "answer", status: 200, body })).finding).toContain(
      "but not as an agent does",
    );
  });
});

describe("asking a real listener", () => {
  test("reaches an agent on a socket and on a port", async () => {
    const body = (HEALTHY as { body: object }).body;
    const fetch = (request: Request) =>
      new URL(request.url).pathname === "/health" ? Response.json(body) : new Response("no");
    const socketPath = scratch.path();
    const onSocket = Bun.serve({ unix: socketPath, fetch });
    const onPort = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch });
    try {
      const all = await examine({
        version: VERSION,
        host: { ...host(), exists: () => true },
        loadNative: () => {},
        probe: () => [0],
        poolDir: new PoolDirectory(scratch).path,
        socketPath,
        port: onPort.port!,
      });
      const levels = all.filter(({ id }) => id.startsWith("agent-")).map(({ level }) => level);
      expect(levels).toEqual(["ok", "ok"]);
    } finally {
      await Promise.all([onSocket.stop(true), onPort.stop(true)]);
    }
  });

  test("reaches an agent by TLS, whoever has signed its certificate", async () => {
    const { askHealth } = await import("../../src/doctor/agent.ts");
    using authority = new Authority();
    const own = authority.sign("localhost");
    const body = (HEALTHY as { body: object }).body;
    const serve = (tls: Bun.TLSOptions) =>
      Bun.serve({ hostname: "127.0.0.1", port: 0, tls, fetch: () => Response.json(body) });
    const open = serve(own);
    const ca = authority.cert;
    const closed = serve({ ...own, ca, requestCert: true, rejectUnauthorized: true });
    const target = (server: typeof open) => ({ host: "127.0.0.1", port: server.port! });
    try {
      expect(await askHealth(target(open))).toEqual(HEALTHY);
      expect(await askHealth(target(closed))).toEqual({ kind: "certificate-wanted" });
    } finally {
      await Promise.all([open.stop(true), closed.stop(true)]);
    }
  });

  test("says that nobody is there", async () => {
    const { askHealth } = await import("../../src/doctor/agent.ts");
    expect(await askHealth({ socket: scratch.path() })).toMatchObject({ kind: "refused" });
  });

  test("does not take in an answer without end", async () => {
    const { askHealth } = await import("../../src/doctor/agent.ts");
    const server = Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      fetch: () => new Response("x".repeat(8 << 20)),
    });
    try {
      const answer = await askHealth({ host: "127.0.0.1", port: server.port! });
      expect(answer).toEqual({ kind: "answer", status: 200, body: undefined });
    } finally {
      await server.stop(true);
    }
  });
});

describe("pools", () => {
  const of = async (directory: PoolDirectory) =>
    (await findings({ poolDir: directory.path })).filter(({ title }) => title.startsWith("pool"));

  test("that are well are one line", async () => {
    const directory = new PoolDirectory(scratch);
    addShop(directory);
    directory.add("bank");
    expect(await of(directory)).toEqual([
      {
        id: "pools",
        title: "pools",
        need: "core",
        level: "ok",
        finding: `2 of layout ${LAYOUT_VERSION}: bank, shop`,
      },
    ]);
  });

  test("are looked for where the agent says that it keeps them", async () => {
    const directory = new PoolDirectory(scratch);
    addShop(directory);
    const body = { ...(HEALTHY as { body: object }).body, poolDir: directory.path };
    // Without a directory of the test's own, which would come first.
    const { poolDir: _, ...options } = { ...defaults(), ask: async () => ({ ...HEALTHY, body }) };
    const all = await examine(options as ExamineOptions);
    expect(all.find(({ id }) => id === "pools")?.finding).toEndWith(": shop");
  });

  test("that do not exist yet are no defect", async () => {
    expect(await of(new PoolDirectory(scratch))).toMatchObject([{ level: "ok" }]);
  });

  test("without an agent are a warning", async () => {
    const directory = new PoolDirectory(scratch);
    directory.add("bank").pool.close();
    expect(await of(directory)).toMatchObject([
      { id: "pool-bank", level: "warn", finding: expect.stringContaining("no agent keeps it") },
    ]);
  });

  test("without an agent fail while services write into them", async () => {
    await using host = new TestHost();
    const agent = await host.agent();
    const mv = host.client();
    mv.counter("requests_total").inc();
    await mv.ready;
    await agent.stop();
    const all = await findings({ poolDir: host.poolDir });
    expect(all.find(({ id }) => id === "pool-shop")).toMatchObject({
      level: "fail",
      finding: expect.stringContaining("no agent keeps it, and 1 of its writers live"),
    });
    expect(all.find(({ id }) => id === "pool-microview")).toMatchObject({ level: "warn" });
  });

  test("whose agent died in a change are a warning", async () => {
    const directory = new PoolDirectory(scratch);
    const { pool } = addShop(directory).app;
    new Uint32Array(pool.mapping.buffer)[HEADER.generation / 4]!++;
    pool.close();
    expect((await of(directory))[0]?.finding).toContain("its agent died");
  });

  test("of another layout name the version", async () => {
    const directory = new PoolDirectory(scratch);
    const { pool } = addShop(directory).app;
    new Uint32Array(pool.mapping.buffer)[HEADER.version / 4] = LAYOUT_VERSION + 6;
    expect((await of(directory))[0]).toMatchObject({
      level: "warn",
      finding: expect.stringContaining(`layout version ${LAYOUT_VERSION + 6}`),
      advice: expect.stringContaining("of another version"),
    });
  });

  test("that are damaged are told with the first place, and the others beside them", async () => {
    const directory = new PoolDirectory(scratch);
    const { pool } = addShop(directory).app;
    pool.mapping.bytes()[pool.header.directoryOffset + 9]! ^= 1;
    directory.add("bank");
    expect(await of(directory)).toMatchObject([
      { id: "pools", level: "ok", finding: expect.stringContaining("bank") },
      { id: "pool-shop", level: "warn", finding: expect.stringContaining("damaged places") },
    ]);
  });

  test("that were set aside are told", async () => {
    const directory = new PoolDirectory(scratch);
    addShop(directory);
    renameSync(directory.file("shop"), `${directory.file("shop")}.damaged-2026`);
    expect(await of(directory)).toMatchObject([{ id: "set-aside-shop", level: "warn" }]);
  });

  test("that are other files are told", async () => {
    const directory = new PoolDirectory(scratch);
    mkdirSync(`${directory.path}/shop`);
    writeFileSync(directory.file("shop"), "hello");
    expect((await of(directory))[0]?.finding).toContain("a pool has at least");
  });

  test("are not looked at when the native part does not load", async () => {
    const loadNative = () => {
      throw new Error("no");
    };
    const all = await findings({ loadNative, probe: () => expect.unreachable() });
    expect(all.some(({ id }) => id === "pools")).toBe(false);
  });
});

describe("the clock", () => {
  test("that is slow to read is a warning", async () => {
    const slow = host({
      "/sys/devices/system/clocksource/clocksource0/current_clocksource": "hpet\n",
    });
    expect(await finding("clock", { host: slow })).toMatchObject({ level: "warn" });
  });

  test("whose deadlines are missed by more than a millisecond is a warning", async () => {
    expect(await finding("deadlines", { probe: () => [0.1, 3, 4] })).toMatchObject({
      level: "warn",
      finding: "met 3000 µs late in half of 3 tries, 4000 µs at worst, timer slack 50 µs",
    });
  });
});

describe("RDMA devices", () => {
  test("are told with their ports and addresses, and with the one that is used", async () => {
    expect((await finding("rdma-devices")).finding).toBe(
      "mlx5_0:1:3 is used unless told otherwise; mlx5_0:1 ACTIVE, Ethernet, GID 0 fe80:0000:0000:0000:0e42:a1ff:fe00:0001 (RoCE v1), GID 3 10.0.0.5 (RoCE v2 eth0)",
    );
  });

  test("without an address are a warning, but on InfiniBand, where the LID is the address", async () => {
    const gids = "/sys/class/infiniband/mlx5_0/ports/1/gids";
    const bare = { [`${gids}/0`]: undefined, [`${gids}/3`]: undefined };
    const warning = await finding("rdma-devices", { host: host(bare) });
    expect(warning).toMatchObject({ level: "warn" });
    expect(warning.advice).toContain("a GID comes with an IP address");
    const infiniBand = host({
      ...bare,
      "/sys/class/infiniband/mlx5_0/ports/1/link_layer": "InfiniBand\n",
      "/sys/class/infiniband/mlx5_0/ports/1/lid": "17\n",
    });
    expect((await finding("rdma-devices", { host: infiniBand })).finding).toBe(
      "mlx5_0:1 is used unless told otherwise; mlx5_0:1 ACTIVE, InfiniBand, LID 17",
    );
  });

  test("that a container was not given are a warning that says how to give them", async () => {
    const without = host({ "/dev/infiniband/uverbs0": undefined });
    const warning = await finding("rdma-access", { host: without });
    expect(warning).toMatchObject({ level: "warn" });
    expect(warning.advice).toContain("--device /dev/infiniband/uverbs0");
    const closed = { ...host(), writable: (path: string) => !path.includes("uverbs") };
    expect((await finding("rdma-access", { host: closed })).finding).toBe(
      "/dev/infiniband/uverbs0 may not be opened by this user",
    );
    expect(await finding("rdma-access", { host: host(NO_RDMA) })).toMatchObject({ level: "ok" });
  });

  test("without an active port are a warning", async () => {
    const down = host({ "/sys/class/infiniband/mlx5_0/ports/1/state": "1: DOWN\n" });
    expect(await finding("rdma-devices", { host: down })).toMatchObject({ level: "warn" });
  });
});

describe("BPF rights", () => {
  test("are CAP_BPF and CAP_PERFMON, or CAP_SYS_ADMIN for both", async () => {
    const rights = async (effective: bigint) => {
      const status = `CapEff:\t${effective.toString(16).padStart(16, "0")}\n`;
      return (await finding("bpf-rights", { host: host({ "/proc/self/status": status }) })).level;
    };
    expect(await rights((1n << 39n) | (1n << 38n))).toBe("ok");
    expect(await rights(1n << 21n)).toBe("ok");
    expect(await rights(1n << 39n)).toBe("warn");
  });
});
