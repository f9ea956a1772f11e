// Which RDMA port and address is taken, of what sysfs shows.

import { describe, expect, test } from "bun:test";
import {
  chooseRdmaPort,
  gidText,
  listRdmaPorts,
  openableAt,
  type RdmaGid,
  type RdmaPort,
} from "../../src/ffi/index.ts";

const V4 = "00000000000000000000ffff0a000005";
const V6 = "20010db8000000000000000000000001";
const LINK_LOCAL = "fe800000000000000000000000000001";

function gid(index: number, address: string, type: RdmaGid["type"] = "RoCE v2"): RdmaGid {
  return { index, gid: address, type, netdev: "eth0" };
}

function port(some: Partial<RdmaPort> = {}): RdmaPort {
  return {
    device: "mlx5_0",
    port: 1,
    linkLayer: "Ethernet",
    state: "ACTIVE",
    lid: 0,
    gids: [gid(0, LINK_LOCAL, "RoCE v1"), gid(1, LINK_LOCAL), gid(2, V4, "RoCE v1"), gid(3, V4)],
    ...some,
  };
}

describe("the port that is chosen", () => {
  test("is the first active one, by its RoCE v2 address of IPv4", () => {
    const down = port({ device: "mlx5_1", state: "DOWN" });
    const { port: chosen, gid: address } = chooseRdmaPort([down, port()], undefined);
    expect(chosen.device).toBe("mlx5_0");
    expect(address).toMatchObject({ index: 3, gid: V4, type: "RoCE v2" });
  });

  test("prefers an address that is routed to one of its link, and RoCE v2 to v1", () => {
    const choose = (gids: RdmaGid[], type?: string) =>
      chooseRdmaPort([port({ gids })], undefined, type).gid?.index;
    expect(choose([gid(0, LINK_LOCAL), gid(1, V6)])).toBe(1);
    expect(choose([gid(0, V6), gid(1, V4)])).toBe(1);
    expect(choose([gid(0, V4, "RoCE v1"), gid(1, LINK_LOCAL)])).toBe(1);
  });

  test("speaks what the other side speaks where it can", () => {
    expect(chooseRdmaPort([port()], undefined, "RoCE v1").gid?.index).toBe(2);
    expect(chooseRdmaPort([port({ gids: [gid(3, V4)] })], undefined, "RoCE v1").gid?.index).toBe(3);
  });

  test("is the one that is named, with the GID that is named", () => {
    const ports = [port(), port({ port: 2 })];
    expect(chooseRdmaPort(ports, { device: "mlx5_0", port: 2 }).port.port).toBe(2);
    expect(chooseRdmaPort(ports, { device: "mlx5_0", port: 2, gidIndex: 1 }).gid?.index).toBe(1);
  });

  test("needs no GID on InfiniBand", () => {
    const ib = port({ linkLayer: "InfiniBand", lid: 17, gids: [] });
    expect(chooseRdmaPort([ib], undefined)).toEqual({ port: ib, gid: undefined });
  });
});

describe("when there is none, it is said what is missing:", () => {
  const why = (run: () => unknown) => {
    try {
      run();
    } catch (error) {
      return (error as Error).message;
    }
    return "nothing";
  };

  test.each([
    ["a device", [], undefined, "this host has no RDMA device"],
    ["the device named", [port()], { device: "rxe0" }, "no RDMA port rxe0; there is mlx5_0:1"],
    ["the port named", [port()], { device: "mlx5_0", port: 2 }, "mlx5_0:2; there is mlx5_0:1"],
    ["an active port", [port({ state: "DOWN" })], undefined, "mlx5_0:1 is DOWN"],
    ["an address", [port({ gids: [] })], undefined, "mlx5_0:1 has no GID"],
    ["the GID named", [port()], { device: "mlx5_0", gidIndex: 9 }, "has no GID 9"],
  ] as const)("%s", (_what, ports, spec, expected) => {
    expect(why(() => chooseRdmaPort(ports, spec))).toContain(expected);
  });
});

test("sysfs is read as the kernel writes it, and what is no address is left out", () => {
  const files: Record<string, string> = {
    "rxe0/ports/1/state": "4: ACTIVE",
    "rxe0/ports/1/link_layer": "Ethernet",
    "rxe0/ports/1/lid": "0x11",
    "rxe0/ports/1/gids/0": "fe80:0000:0000:0000:0000:0000:0000:0001",
    "rxe0/ports/1/gids/1": "0000:0000:0000:0000:0000:0000:0000:0000",
    "rxe0/ports/1/gids/10": "0000:0000:0000:0000:0000:ffff:0a00:0005",
    "rxe0/ports/1/gids/2": "what is this",
    "rxe0/ports/1/gid_attrs/types/0": "IB/RoCE v1",
    "rxe0/ports/1/gid_attrs/types/10": "RoCE v2",
    "rxe0/ports/1/gid_attrs/ndevs/10": "eth0",
  };
  const list = (path: string) => {
    const below = Object.keys(files)
      .map((name) => `/sys/${name}`)
      .filter((name) => name.startsWith(`${path}/`));
    return [...new Set(below.map((name) => name.slice(path.length + 1).split("/")[0]!))];
  };
  const ports = listRdmaPorts("/sys", { list, read: (path) => files[path.slice(5)] });
  expect(ports).toEqual([
    {
      device: "rxe0",
      port: 1,
      linkLayer: "Ethernet",
      state: "ACTIVE",
      lid: 17,
      gids: [
        { index: 0, gid: LINK_LOCAL, type: "RoCE v1", netdev: "" },
        { index: 10, gid: V4, type: "RoCE v2", netdev: "eth0" },
      ],
    },
  ]);
});

test("an address is written as people write it", () => {
  expect(gidText(V4)).toBe("10.0.0.5");
  expect(gidText(LINK_LOCAL)).toBe("fe80:0000:0000:0000:0000:0000:0000:0001");
});

test("a device is opened where sysfs says, under a name of its own", () => {
  const root = "/sys/class/infiniband_verbs";
  const devices: Record<string, string> = { uverbs0: "mlx5_0", uverbs1: "rxe0" };
  const sysfs = {
    list: () => ["abi_version", ...Object.keys(devices)],
    read: (path: string) => devices[path.split("/").at(-2)!],
  };
  expect(openableAt("rxe0", sysfs)).toBe(`${root}/uverbs1`);
  expect(openableAt("rxe1", sysfs)).toBeUndefined();
});
