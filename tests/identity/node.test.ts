// Which node of Kubernetes this is.

import { expect, test } from "bun:test";
import { isNodeName, nodeOfPod } from "../../src/identity/index.ts";

test("nodes have names of RFC 1123", () => {
  for (const name of ["node-1", "ip-10-0-0-1.ec2.internal", "a"])
    expect(isNodeName(name)).toBe(true);
  for (const name of ["", "-a", "a-", "A", "a,b", "a=b", "x".repeat(254)]) {
    expect(isNodeName(name)).toBe(false);
  }
});

test("a pod's node is what its environment says, and nothing is a node where there is no cluster", () => {
  const cluster = { KUBERNETES_SERVICE_HOST: "10.0.0.1" };
  expect(nodeOfPod({ ...cluster, NODE_NAME: "node-1" })).toBe("node-1");
  expect(nodeOfPod({ ...cluster, NODE_NAME: "" })).toBeUndefined();
  expect(nodeOfPod(cluster)).toBeUndefined();
  expect(nodeOfPod({ NODE_NAME: "node-1" })).toBeUndefined();
});
