// Names of pods in the agent: as labels of processes and by REST, when the API server knows them; and no harm when not.

import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { kubernetesOf } from "../../src/commands/support/kubernetes.ts";
import { CONTAINER_ID_SHOWN, INFO_LABELS, UNKNOWN_IDENTITY } from "../../src/layout/index.ts";
import { TestHost } from "../support/host.ts";
import { containerId, FakeKubernetes, forbidden, recordedPod } from "../support/kubernetes.ts";
import { until } from "../support/wait.ts";

const POD = recordedPod("auth-7d9f8c6b54-x2x7q");
const CGROUP = {
  ...UNKNOWN_IDENTITY,
  runtime: "containerd",
  containerId: containerId(POD, "auth"),
  podUid: POD.metadata.uid,
};
const NAMED = {
  ...CGROUP,
  containerName: "auth",
  podName: POD.metadata.name,
  namespace: "shop",
  nodeName: "node-1",
  workloadKind: "Deployment",
  workloadName: "auth",
  workloadGuessed: true,
};

/** The value of the info series that tells an identity. */
function info(host: TestHost, identity: typeof NAMED): number | undefined {
  const shown = { ...identity, containerId: identity.containerId.slice(0, CONTAINER_ID_SHOWN) };
  const labels = Object.entries(INFO_LABELS).map(([label, field]) => [label, shown[field]]);
  return host.view("microview").value("auth", "microview_process_info", {
    app: "shop",
    ...Object.fromEntries(labels),
  });
}

async function startedIn(server: FakeKubernetes, host: TestHost) {
  const agent = await host.agent({
    processIntervalMs: 20,
    identityOf: () => CGROUP,
    kubernetes: {
      access: server.access,
      nodeName: "node-1",
      limits: { backoffFirstMs: 1, backoffMaxMs: 20 },
    },
  });
  const client = host.client();
  client.counter("requests_total").inc();
  await client.ready;
  return agent;
}

describe("the names of pods", () => {
  test("are labels of the process, and told by REST and in the agent's own metrics", async () => {
    await using server = new FakeKubernetes();
    await using host = new TestHost();
    const agent = await startedIn(server, host);
    await until("it is named", () => info(host, NAMED) === 1);
    const response = await fetch(`http://127.0.0.1:${agent.port}/v1/apps/shop/processes`);
    expect(await response.json()).toEqual({
      processes: [{ service: "auth", pid: process.pid, hostPid: process.pid, identity: NAMED }],
    });
    const own = host.view("microview");
    await until(
      "pods are counted",
      () => own.value("agent", "microview_agent_kubernetes_pods")! > 0,
    );
    const requests = { verb: "list", result: "ok" };
    expect(own.value("agent", "microview_agent_kubernetes_requests_total", requests)).toBe(1);
    expect(host.log.map(({ message }) => message)).toContain("the names of pods are known");
  });

  test("take the place of what the cgroup told, when they come later", async () => {
    await using server = new FakeKubernetes([]);
    await using host = new TestHost();
    const agent = await startedIn(server, host);
    await until("the cgroup is told", () => info(host, CGROUP as typeof NAMED) === 1);
    await until("it is watched", () => server.watches === 1);
    const early = structuredClone(POD);
    early.status.containerStatuses = [];
    server.put(early);
    await until("the pod is named", () => info(host, { ...NAMED, containerName: "" }) === 1);
    expect(info(host, CGROUP as typeof NAMED)).toBeNaN();
    server.put(POD);
    await until("so is the container", () => info(host, NAMED) === 1);
    expect(info(host, { ...NAMED, containerName: "" })).toBeNaN();
    const text = await (await fetch(`http://127.0.0.1:${agent.port}/metrics?app=microview`)).text();
    expect(text.match(/^microview_process_info\{.*/gm)).toHaveLength(1);
    // The pod goes before its process does.
    server.remove(POD.metadata.uid);
    server.bookmark();
    agent.sampleProcesses();
    expect(info(host, NAMED)).toBe(1);
  });

  test("are left out, and all else goes on, while the server refuses", async () => {
    await using server = new FakeKubernetes();
    server.instead.push(...Array.from({ length: 10_000 }, () => forbidden));
    await using host = new TestHost();
    const agent = await startedIn(server, host);
    await until("the cgroup is told", () => info(host, CGROUP as typeof NAMED) === 1);
    const warning = await until("it is warned", () =>
      host.log.find(({ level }) => level === "warn"),
    );
    expect(warning).toMatchObject({ reason: expect.stringContaining("403: pods is forbidden") });
    expect(warning["hint"]).toContain("kubernetes.names.enabled");
    expect(JSON.stringify(host.log)).not.toContain(server.token);
    expect((await fetch(`http://127.0.0.1:${agent.port}/health`)).ok).toBeTrue();
    expect(host.log.filter(({ level }) => level === "warn")).toHaveLength(1);
  });

  test("are asked for by the agent of the command line, which ends while it watches", async () => {
    await using server = new FakeKubernetes();
    await using host = new TestHost();
    const agent = await host.agentProcess(
      ...["--kubernetes", server.url, "--node-name", "node-1"],
      ...["--kubernetes-token-file", join(server.folder, "token")],
      ...["--kubernetes-ca", join(server.folder, "ca.crt")],
    );
    await until("it watches", () => server.watches === 1);
    expect(await agent.end("SIGTERM")).toBe(0);
    expect(agent.find("the names of pods are known")).toMatchObject({ level: "info" });
  });
});

describe("--kubernetes", () => {
  const flags = {
    kubernetes: "auto",
    kubernetesTokenFile: undefined,
    kubernetesCa: undefined,
    nodeName: undefined,
    processMetrics: 5000,
  } as const;

  test("auto asks in a pod that is given a token and its node's name, and nowhere else", async () => {
    await using server = new FakeKubernetes();
    const { env, folder, access } = server;
    const inPod = { ...env, NODE_NAME: "node-1" };
    expect(await kubernetesOf(flags, inPod, folder)).toEqual({ access, nodeName: "node-1" });
    expect(await kubernetesOf(flags, {}, folder)).toBeUndefined();
    // It means something else to whoever set it.
    expect(await kubernetesOf(flags, { NODE_NAME: "My node" }, folder)).toBeUndefined();
    expect(await kubernetesOf(flags, inPod, "/nowhere")).toBeUndefined();
    expect(await kubernetesOf({ ...flags, processMetrics: "off" }, inPod, folder)).toBeUndefined();
    expect(await kubernetesOf({ ...flags, kubernetes: "off" }, inPod, folder)).toBeUndefined();
    expect(await kubernetesOf(flags, env, folder)).toEqual({
      unused: "the node's name is not known",
    });
  });

  test("URL asks there, with what is given", async () => {
    const given = { ...flags, kubernetes: "https://api.example:6443", nodeName: "node-7" };
    expect(await kubernetesOf({ ...given, kubernetesTokenFile: "/t" }, {})).toEqual({
      access: { url: "https://api.example:6443", tokenFile: "/t" },
      nodeName: "node-7",
    });
    expect(kubernetesOf({ ...given, nodeName: undefined }, {})).rejects.toThrow("its name is not");
    expect(kubernetesOf({ ...given, processMetrics: "off" }, {})).rejects.toThrow("which is off");
    expect(kubernetesOf({ ...given, kubernetes: "on" }, {})).rejects.toThrow("not an address");
    // It would ask for other pods than this node's.
    const nodeName = "a,metadata.namespace=kube-system";
    expect(kubernetesOf({ ...given, nodeName }, {})).rejects.toThrow("no name of a node");
  });
});
