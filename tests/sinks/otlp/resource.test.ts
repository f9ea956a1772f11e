// What OTLP's resources say.

import { expect, test } from "bun:test";
import { hostname } from "node:os";
import { passingName, resourceAttributes, resourceOf } from "../../../src/sinks/otlp/resource.ts";

/** @param node of Kubernetes */
function of(source: string, given: Record<string, string> = {}, node?: string) {
  return Object.fromEntries(resourceOf(source, { given: new Map(Object.entries(given)), node }));
}

test("a resource is this host's, its node's in Kubernetes, or an agent's as it was named", () => {
  expect(of("local")).toEqual({ "service.instance.id": hostname(), "host.name": hostname() });
  expect(of("local", {}, "node-1")).toEqual({
    "service.instance.id": "node-1",
    "host.name": "node-1",
    "k8s.node.name": "node-1",
  });
  expect(of("db1:7070")).toEqual({ "service.instance.id": "db1:7070", "host.name": "db1" });
});

test("what the environment says of a resource goes first, but for what a pool says itself", () => {
  const given = { "host.name": "other", "service.name": "never", "service.namespace": "never" };
  expect(of("local", { ...given, "k8s.cluster.name": "a" }, "node-1")).toEqual({
    "service.instance.id": "node-1",
    "host.name": "other",
    "k8s.node.name": "node-1",
    "k8s.cluster.name": "a",
  });
});

test("two agents are two instances, whatever the environment of who reads them says", () => {
  const given = { "service.instance.id": "one", "host.name": "one", "k8s.cluster.name": "a" };
  const all = ["a:7070", "b:7070"].map((source) => of(source, given));
  expect(all).toEqual([
    { "service.instance.id": "a:7070", "host.name": "a", "k8s.cluster.name": "a" },
    { "service.instance.id": "b:7070", "host.name": "b", "k8s.cluster.name": "a" },
  ]);
  expect(of("local", given)["service.instance.id"]).toBe("one");
});

test("a warning names a container's default host name, unless the environment gives another", () => {
  expect(passingName("3f9a1c2b4d5e", new Map())).toContain("--hostname");
  expect(passingName("3f9a1c2b4d5e", new Map([["service.instance.id", "db1"]]))).toBeUndefined();
  for (const host of ["db1", "3f9a1c2b4d5e.example", "cafe"]) {
    expect(passingName(host, new Map())).toBeUndefined();
  }
});

test("the environment's attributes are read pair by pair", () => {
  expect([...resourceAttributes("a=1, b = x%20y ,=,c,d=a%zz,e=f=g")]).toEqual([
    ["a", "1"],
    ["b", "x y"],
    ["d", "a%zz"],
    ["e", "f=g"],
  ]);
});
