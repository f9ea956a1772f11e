// What OTLP's resources say of where services run.

import { describe, expect, test } from "bun:test";
import { hostname } from "node:os";
import { processesOfAgent, ToldProcesses } from "../../src/commands/push/identities.ts";
import { commonOf, Resources } from "../../src/commands/push/resource.ts";
import {
  Directory,
  INFO_LABELS,
  INFO_METRIC,
  type ProcessIdentity,
  UNKNOWN_IDENTITY,
} from "../../src/layout/index.ts";
import { Source } from "../sinks/snapshots.ts";
import { define, Scratch, TestWriter } from "../support/pools.ts";

const scratch = new Scratch();

const POD: ProcessIdentity = {
  runtime: "containerd",
  containerId: "c".repeat(64),
  containerName: "web",
  podUid: "00000000-0000-4000-8000-000000000001",
  podName: "auth-7d4b9c-x2x4z",
  namespace: "shop",
  nodeName: "node-1",
  workloadKind: "Deployment",
  workloadName: "auth",
  workloadGuessed: true,
  unit: "",
};

describe("what is true of all processes of a service", () => {
  test("is where its only one runs, by the conventions' names", () => {
    expect(Object.fromEntries(commonOf({ pids: [7], identities: [POD] }))).toEqual({
      "container.id": POD.containerId,
      "container.runtime.name": "containerd",
      "k8s.container.name": "web",
      "k8s.pod.uid": POD.podUid,
      "k8s.pod.name": "auth-7d4b9c-x2x4z",
      "k8s.namespace.name": "shop",
      "k8s.node.name": "node-1",
      "k8s.deployment.name": "auth",
      "process.pid": 7,
    });
  });

  test("is what they have in common, and nothing when one is elsewhere", () => {
    const other = {
      ...POD,
      containerId: "d".repeat(64),
      podUid: "2",
      podName: "auth-7d4b9c-aaaaa",
    };
    const shared = Object.fromEntries(commonOf({ pids: [7, 8], identities: [POD, other] }));
    expect(Object.keys(shared).sort()).toEqual([
      "container.runtime.name",
      "k8s.container.name",
      "k8s.deployment.name",
      "k8s.namespace.name",
      "k8s.node.name",
    ]);
    expect(commonOf({ pids: [7, 8], identities: [POD, UNKNOWN_IDENTITY] })).toEqual([]);
  });

  test("names a container of no pod by its own name, and tells no runtime of a unit", () => {
    const lxc = { ...UNKNOWN_IDENTITY, runtime: "lxc", containerName: "db" };
    expect(commonOf({ pids: [1, 2], identities: [lxc, lxc] })).toEqual([
      ["container.name", "db"],
      ["container.runtime.name", "lxc"],
    ]);
    const unit = { ...UNKNOWN_IDENTITY, runtime: "systemd", unit: "auth.service" };
    expect(commonOf({ pids: [1, 2], identities: [unit, unit] })).toEqual([]);
  });
});

describe("a resource", () => {
  const directory = new Directory(0, 1);
  const origin = { source: "local", app: "shop", service: "auth", directory };

  test("stays where it was for a while when a process has begun that nobody has looked at", () => {
    let known = true;
    const resources = new Resources({
      given: new Map(),
      processesOf: () => (known ? { pids: [7], identities: [POD] } : undefined),
    });
    const podAt = (ms: number) => Object.fromEntries(resources.of(origin, ms))["k8s.pod.name"];
    expect(podAt(0)).toBe(POD.podName);
    known = false;
    expect(podAt(14_000)).toBe(POD.podName);
    expect(podAt(16_000)).toBeUndefined();
    known = true;
    expect(podAt(17_000)).toBe(POD.podName);
  });

  test("is an agent's as it was named, or this host's, and the environment goes first", () => {
    const processesOf = () => undefined;
    const of = (source: string, given: [string, string][] = [], host?: string) =>
      Object.fromEntries(
        new Resources({ given: new Map(given), processesOf, host }).of({ ...origin, source }),
      );
    const named = (host: string, instance = host) => ({
      "service.instance.id": instance,
      "host.name": host,
    });
    expect(of("db1:7070")).toEqual(named("db1", "db1:7070"));
    expect(of("local")).toEqual(named(hostname()));
    expect(of("local", [], "node-1")).toEqual(named("node-1"));
    const given: [string, string][] = [
      ["host.name", "other"],
      ["service.name", "never"],
    ];
    expect(of("local", given, "node-1")).toEqual({ ...named("node-1"), "host.name": "other" });
  });
});

test("an agent knows of a service's processes when it knows that of each writer, whatever their numbers", () => {
  const source = new Source(scratch, "other");
  const attach = () => new TestWriter(source.app, { service: "auth", pid: 1 }).id;
  const [thread, other, elsewhere] = [attach(), attach(), attach()];
  const known = new Map([
    [thread, { pid: 1, hostPid: 70, identity: POD }],
    [other, { pid: 1, hostPid: 70, identity: POD }],
  ]);
  const { directory } = source.app;
  const of = () =>
    processesOfAgent({ processesByWriter: () => known })({
      ...{ source: "local", app: "shop", service: "auth", directory },
    });
  expect(of()).toBeUndefined();
  known.set(elsewhere, { pid: 1, hostPid: 80, identity: UNKNOWN_IDENTITY });
  expect(of()).toEqual({ pids: [1, 1], identities: [POD, UNKNOWN_IDENTITY] });
});

describe("what agents tell collectors of processes", () => {
  const INFO = define.gauge(INFO_METRIC, "max", ["app", ...Object.keys(INFO_LABELS)]);
  const COUNT = define.gauge("microview_processes", "sum", ["app"]);
  const labelsOf = (identity: ProcessIdentity) => [
    "shop",
    ...Object.values(INFO_LABELS).map((field) => identity[field]),
  ];

  /** An agent's own pool, in which each of these processes of shop's service auth is a writer. */
  function telling(identities: (ProcessIdentity | undefined)[]) {
    const source = new Source(scratch, "agent");
    for (const [i, identity] of identities.entries()) {
      const writer = new TestWriter(source.app, { service: "auth", pid: 100 + i });
      writer.put(COUNT, ["shop"], 1);
      if (identity === undefined) continue;
      // Its pod's name came later: what was told before was withdrawn.
      writer.put(INFO, labelsOf({ ...identity, podName: "" }), Number.NaN);
      writer.put(INFO, labelsOf(identity), 1);
    }
    return source.snapshot(0, { source: "db1:7070", app: "microview" });
  }

  /** The application, with a thread or two of each process. */
  function writing(pids: number[]) {
    const source = new Source(scratch, "other");
    for (const pid of pids) new TestWriter(source.app, { service: "auth", pid });
    const { directory } = source.app;
    return { source: "db1:7070", app: "shop", service: "auth", directory };
  }

  test("is known when it is told of all that write", () => {
    const told = new ToldProcesses();
    told.observe(telling([POD, undefined]));
    const identities = [POD, { ...UNKNOWN_IDENTITY }];
    expect(told.of(writing([1, 1, 2]))).toEqual({ pids: [1, 2], identities });
    expect(told.of(writing([1, 2, 3]))).toBeUndefined();
    // Two containers, in each of which the service is process 1.
    expect(told.of(writing([1, 1]))).toEqual({ pids: [1], identities });
    expect(told.of({ ...writing([1, 2]), service: "none" })).toBeUndefined();
    expect(told.of({ ...writing([1, 2]), source: "db2:7070" })).toBeUndefined();
  });
});
