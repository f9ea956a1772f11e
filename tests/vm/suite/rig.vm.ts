// The machine itself: what the tests beside this one count on. Runs inside of it, `make test-vm`.

import { describe, expect, test } from "bun:test";
import { readdir } from "node:fs/promises";
import { until } from "../../support/wait.ts";

const RXE = "/sys/class/infiniband/rxe0";

async function read(path: string): Promise<string> {
  return (await Bun.file(path).text()).trim();
}

function run(...command: string[]): { exitCode: number; output: string } {
  const child = Bun.spawnSync(command, { stderr: "pipe" });
  return { exitCode: child.exitCode, output: `${child.stdout}${child.stderr}` };
}

describe("the machine", () => {
  test("has a kernel of its own, with modules", async () => {
    const version = await read("/proc/sys/kernel/osrelease");
    console.log(`kernel ${version}, bun ${Bun.version}`);
    expect(await readdir("/lib/modules")).toEqual([version]);
  });

  test("shows the host's folder and does not let it be written", async () => {
    expect((await Bun.file("/repo/package.json").json()).name).toBe("microview");
    expect(Bun.write("/repo/trespass", "")).rejects.toThrow("EROFS");
  });

  test("has a folder to write that the host sees, and room in memory", async () => {
    for (const path of ["/out/note", "/tmp/note", "/dev/shm/note"]) {
      await Bun.write(path, path);
      expect(await read(path)).toBe(path);
    }
  });

  test("has control groups, and the kernel's own file systems", async () => {
    expect(await read("/sys/fs/cgroup/cgroup.controllers")).toContain("memory");
    expect(await readdir("/sys/kernel/tracing")).toContain("kprobe_events");
    expect(await readdir("/sys/kernel/debug")).toContain("kprobes");
    expect(await read("/proc/mounts")).toContain(" /sys/fs/bpf bpf ");
  });

  test("loads a module when something asks for it", () => {
    expect(run("ip", "link", "add", "v0", "type", "veth", "peer", "name", "v1")).toEqual({
      exitCode: 0,
      output: "",
    });
    expect(run("ip", "link", "del", "v0").exitCode).toBe(0);
  });
});

describe("the RDMA device", () => {
  test("is active, and reachable over RoCE v2 at the loopback's address", async () => {
    expect(await read(`${RXE}/ports/1/state`)).toContain("ACTIVE");
    expect(await read(`${RXE}/ports/1/gid_attrs/types/1`)).toBe("RoCE v2");
    expect(await read(`${RXE}/ports/1/gids/1`)).toEndWith(":ffff:7f00:0001");
    expect(await readdir("/dev/infiniband")).toContain("uverbs0");
    expect(run("ibv_devinfo", "-d", "rxe0").output).toContain("PORT_ACTIVE");
  });

  test("reads another process's memory", async () => {
    const read50 = ["ib_read_lat", "-d", "rxe0", "-x", "1", "-n", "50"];
    await using server = Bun.spawn(read50, { stdout: "ignore", stderr: "ignore" });
    await until("ib_read_lat reads", () => run(...read50, "localhost").exitCode === 0);
    expect(await server.exited).toBe(0);
  });
});
