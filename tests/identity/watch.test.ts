// Names from an API server that answers, refuses, forgets, breaks off and lies.

import { describe, expect, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  inCluster,
  type KubernetesAccess,
  PodWatch,
  type PodWatchLimits,
  parseServerUrl,
  type ServerError,
} from "../../src/identity/index.ts";
import { UNKNOWN_IDENTITY } from "../../src/layout/index.ts";
import {
  containerId,
  FakeKubernetes,
  failure,
  forbidden,
  line,
  recordedPod,
  recordedPods,
} from "../support/kubernetes.ts";
import { until } from "../support/wait.ts";

const NODE = "node-1";
const HERE = recordedPods().filter(({ spec }) => spec.nodeName === NODE).length;

class Watched implements AsyncDisposable {
  readonly requested: string[] = [];
  readonly leftOut: string[] = [];
  readonly states: (true | string)[] = [];
  readonly watch: PodWatch;

  constructor(
    server: FakeKubernetes,
    limits: Partial<PodWatchLimits> = {},
    access: KubernetesAccess = server.access,
  ) {
    this.watch = new PodWatch(
      access,
      NODE,
      {
        requested: (verb, result) => this.requested.push(`${verb} ${result}`),
        leftOut: (reason) => this.leftOut.push(reason),
        changed: (state) =>
          this.states.push(state.current || (state as { error: ServerError }).error.message),
      },
      { backoffFirstMs: 1, backoffMaxMs: 20, ...limits },
    );
  }

  /** What a container's process is called now. */
  of(containerId: string, podUid = "") {
    return this.watch.complete({ ...UNKNOWN_IDENTITY, containerId, podUid });
  }

  /** Waits until the list is known and the server is watched. */
  async settled(server: FakeKubernetes): Promise<void> {
    await until("pods are known", () => this.watch.size > 0);
    await until("they are watched", () => server.watches === 1);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.watch[Symbol.asyncDispose]();
  }
}

describe("the pods of a node", () => {
  test("are listed and watched, and those of other nodes never asked for", async () => {
    await using server = new FakeKubernetes();
    await using watched = new Watched(server);
    await watched.settled(server);
    expect(watched.watch.size).toBe(HERE);
    const pod = recordedPod("auth-7d9f8c6b54-x2x7q");
    expect(watched.of(containerId(pod, "envoy"))).toEqual({
      ...UNKNOWN_IDENTITY,
      containerId: containerId(pod, "envoy"),
      containerName: "envoy",
      podUid: pod.metadata.uid,
      podName: pod.metadata.name,
      namespace: "shop",
      nodeName: NODE,
      workloadKind: "Deployment",
      workloadName: "auth",
      workloadGuessed: true,
    });
    for (const { query } of server.asked)
      expect(query["fieldSelector"]).toBe("spec.nodeName=node-1");
    // From the server's cache, and not from etcd.
    expect(server.asked[0]).toMatchObject({ verb: "list", query: { resourceVersion: "0" } });
    expect(watched.states).toEqual([true]);
  });

  test("come, change and go", async () => {
    await using server = new FakeKubernetes([]);
    await using watched = new Watched(server);
    await until("it is watched", () => server.watches === 1);
    const pod = recordedPod("cart-0");
    const id = containerId(pod, "cart");
    const { containerStatuses } = pod.status;
    pod.status.containerStatuses = [];
    server.put(pod);
    await until("the pod is known", () => watched.of("", pod.metadata.uid).podName === "cart-0");
    // Until its node tells of the container, what its cgroup tells is the pod.
    expect(watched.of(id, pod.metadata.uid)).toMatchObject({
      podName: "cart-0",
      containerName: "",
    });
    server.put({ ...pod, status: { ...pod.status, containerStatuses } });
    await until("its container is known", () => watched.of(id).containerName === "cart");
    server.remove(pod.metadata.uid);
    await until("it has gone", () => watched.watch.size === 0);
    const unknown = { ...UNKNOWN_IDENTITY, containerId: id };
    expect(watched.watch.complete(unknown)).toBe(unknown);
    expect(server.asked).toHaveLength(2);
  });

  test("are known by what a server of 1.30 was recorded to send", async () => {
    await using server = new FakeKubernetes();
    await using watched = new Watched(server);
    await watched.settled(server);
    expect(watched.of("", recordedPod("lonely").metadata.uid).podName).toBe("lonely");
    server.tell(readFileSync(join(import.meta.dir, "fixtures/watch.ndjson"), "utf8"));
    await until("one has gone", () => watched.watch.size === HERE - 1);
    expect(watched.of("", recordedPod("lonely").metadata.uid).podName).toBe("");
    expect(watched.leftOut).toEqual([]);
    // From where the bookmark said.
    server.endWatches();
    await until("it is watched again", () => server.asked.length === 3);
    expect(server.asked[2]).toMatchObject({ verb: "watch", query: { resourceVersion: "230" } });
  });

  test("are listed in pages where there are pages", async () => {
    await using server = new FakeKubernetes();
    server.pagesAlways = true;
    await using watched = new Watched(server, { pagePods: 2 });
    await watched.settled(server);
    expect(watched.watch.size).toBe(HERE);
    const lists = server.asked.filter(({ verb }) => verb === "list");
    expect(lists).toHaveLength(Math.ceil(HERE / 2));
    for (const { query } of lists) expect(query["limit"]).toBe("2");
    for (const { query } of lists.slice(1)) {
      expect(query["continue"]).toBeString();
      expect(query["resourceVersion"]).toBeUndefined();
    }
  });

  test("beyond the limit are left out, and counted", async () => {
    await using server = new FakeKubernetes();
    await using watched = new Watched(server, { podsMax: 3 });
    await watched.settled(server);
    expect(watched.watch.size).toBe(3);
    expect(new Set(watched.leftOut)).toEqual(new Set(["full"]));
  });
});

describe("a watch", () => {
  test("that has ended is gone on with, from the last bookmark", async () => {
    await using server = new FakeKubernetes();
    await using watched = new Watched(server);
    await watched.settled(server);
    server.advance(500);
    server.bookmark();
    server.endWatches();
    await until("it is watched again", () => server.asked.length === 3);
    expect(server.asked[2]).toMatchObject({ verb: "watch", query: { resourceVersion: "1500" } });
    expect(watched.states).toEqual([true]);
  });

  test("that breaks off in the middle is gone on with, and nothing is missed", async () => {
    await using server = new FakeKubernetes();
    await using watched = new Watched(server);
    await watched.settled(server);
    server.tell('{"type":"ADDED","obj');
    server.breakWatches();
    const pod = recordedPod("cart-0");
    server.remove(pod.metadata.uid);
    await until("what happened meanwhile is known", () => watched.watch.size === HERE - 1);
    expect(server.asked.filter(({ verb }) => verb === "list")).toHaveLength(1);
  });

  test("from what the server has forgotten begins with a new list, of the newest", async () => {
    await using server = new FakeKubernetes();
    await using watched = new Watched(server);
    await watched.settled(server);
    const pod = recordedPod("cart-0");
    server.breakWatches();
    server.advance();
    server.remove(pod.metadata.uid);
    server.advance();
    server.compact();
    await until("it is listed again", () => watched.watch.size === HERE - 1);
    await until("it is watched", () => server.watches === 1);
    const [, again] = server.asked.filter(({ verb }) => verb === "list");
    expect(again!.query["resourceVersion"]).toBeUndefined();
    expect(watched.requested).toContain("watch 410");
  });

  test("that is refused as forgotten begins with a new list as well", async () => {
    await using server = new FakeKubernetes();
    await using watched = new Watched(server);
    await watched.settled(server);
    server.instead.push(() => failure(410, "Expired", "too old resource version: 1 (2)"));
    server.endWatches();
    await until("it is listed again", () => {
      return (
        server.asked.filter(({ verb, status }) => verb === "list" && status === 200).length === 2
      );
    });
  });

  test("whose end the server does not tell ends by itself", async () => {
    await using server = new FakeKubernetes();
    await using watched = new Watched(server, { watchMs: 20, beginMs: 100 });
    // The server here lasts as long as it is let.
    await until("it was watched more than once", () => {
      return server.asked.filter(({ verb }) => verb === "watch").length > 2;
    });
    expect(watched.requested).toContain("watch error");
    expect(watched.watch.size).toBe(HERE);
  });
});

describe("a page", () => {
  test("that the server has forgotten is listed again from the first", async () => {
    await using server = new FakeKubernetes();
    server.pagesAlways = true;
    server.instead.push(
      () => undefined,
      () => failure(410, "Expired", "The provided continue parameter is too old"),
    );
    await using watched = new Watched(server, { pagePods: 4 });
    await watched.settled(server);
    expect(watched.watch.size).toBe(HERE);
    expect(server.asked[2]!.query["continue"]).toBeUndefined();
  });
});

describe("a token", () => {
  test("that was changed is read again", async () => {
    await using server = new FakeKubernetes();
    await using watched = new Watched(server);
    await watched.settled(server);
    const first = server.token;
    server.rotateToken();
    server.endWatches();
    await until("it is watched with the other", () => server.asked.at(-1)?.token === server.token);
    expect(first).not.toBe(server.token);
    expect(server.asked.every(({ status }) => status === 200)).toBeTrue();
  });

  test("that holds no longer leaves the names that are known, until there is another", async () => {
    await using server = new FakeKubernetes();
    await using watched = new Watched(server);
    await watched.settled(server);
    const { token } = server;
    server.rotateToken();
    // The kubelet is late.
    writeFileSync(server.access.tokenFile!, token);
    server.endWatches();
    await until("it is refused", () => watched.requested.includes("watch 401"));
    expect(watched.watch.size).toBe(HERE);
    writeFileSync(server.access.tokenFile!, server.token);
    await until("it is watched", () => server.watches === 1);
    await until("that is told", () => watched.states.length === 3);
    expect(watched.states).toEqual([true, "Unauthorized", true]);
    // What was known is gone on from.
    expect(server.asked.filter(({ verb }) => verb === "list")).toHaveLength(1);
  });

  test("is in no message, also when the server repeats it", async () => {
    await using server = new FakeKubernetes();
    server.instead.push(() => failure(401, "Unauthorized", `no such token: ${server.token}`));
    await using watched = new Watched(server);
    await until("it is told", () => watched.states.length > 0);
    expect(watched.states[0]).toBe("no such token: …");
  });

  test("is not sent after a redirect", async () => {
    await using server = new FakeKubernetes();
    await using other = new FakeKubernetes();
    server.instead.push(() => Response.redirect(`${other.url}/api/v1/pods`, 307));
    await using watched = new Watched(server);
    await until("it is told", () => watched.requested.includes("list 307"));
    await watched.settled(server);
    expect(other.asked).toEqual([]);
  });

  test("that is missing from its file is told with the file's name", async () => {
    await using server = new FakeKubernetes();
    const tokenFile = join(server.folder, "empty");
    writeFileSync(tokenFile, "\n");
    await using watched = new Watched(server, {}, { ...server.access, tokenFile });
    await until("it is told", () => watched.states.length > 0);
    expect(watched.states[0]).toBe(`there is no token in ${tokenFile}`);
    expect(server.asked).toEqual([]);
  });

  test("whose file has become a FIFO is told with the file's name, and keeps nobody waiting", async () => {
    await using server = new FakeKubernetes();
    const tokenFile = join(server.folder, "fifo");
    Bun.spawnSync(["mkfifo", tokenFile]);
    await using watched = new Watched(server, {}, { ...server.access, tokenFile });
    await until("it is told", () => watched.states.length > 0);
    expect(watched.states[0]).toBe(`cannot read ${tokenFile}: it is no plain file`);
    expect(server.asked).toEqual([]);
  });
});

describe("a server", () => {
  test("that is away is looked for until it comes", async () => {
    const gone = new FakeKubernetes();
    const { access } = gone;
    await gone[Symbol.asyncDispose]();
    await using server = new FakeKubernetes();
    writeFileSync(join(server.folder, "gone.crt"), "");
    await using watched = new Watched(server, {}, { ...server.access, url: access.url });
    await until("it was tried several times", () => watched.requested.length > 3);
    expect(new Set(watched.requested)).toEqual(new Set(["list error"]));
    expect(watched.states).toHaveLength(1);
  });

  test("with another's certificate is told no token", async () => {
    await using server = new FakeKubernetes();
    const caFile = join(server.folder, "other.crt");
    const made = Bun.spawnSync(
      ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"].concat([
        "-nodes",
        "-days",
        "2",
        "-subj",
        "/CN=other",
        "-keyout",
        "/dev/null",
        "-out",
        caFile,
      ]),
      { stderr: "ignore" },
    );
    expect(made.success).toBeTrue();
    // Trusted before in this process: that must not help.
    await using before = new Watched(server);
    await before.settled(server);
    const asked = server.asked.length;
    await using watched = new Watched(server, {}, { ...server.access, caFile });
    await until("it is refused", () => watched.states.length > 0);
    expect(watched.states[0]).toMatch(/certificate/i);
    expect(server.asked).toHaveLength(asked);
  });

  test("under a name that is not its own is told no token", async () => {
    await using server = new FakeKubernetes();
    const url = server.url.replace("127.0.0.1", "localhost");
    await using watched = new Watched(server, {}, { ...server.access, url });
    await until("it is refused", () => watched.states.length > 0);
    expect(watched.states[0]).toMatch(/its certificate is for other names, and not for localhost/);
    expect(server.asked).toEqual([]);
  });

  test("that allows nothing is asked again, in case the role comes", async () => {
    await using server = new FakeKubernetes();
    server.instead.push(forbidden, forbidden, forbidden);
    await using watched = new Watched(server);
    await watched.settled(server);
    expect(watched.requested.slice(0, 3)).toEqual(["list 403", "list 403", "list 403"]);
    expect(watched.states).toEqual([expect.stringContaining("pods is forbidden"), true]);
  });

  test("that is asked too often is left alone for as long as it says", async () => {
    await using server = new FakeKubernetes();
    const busy = () => failure(429, "TooManyRequests", "too many requests", { "retry-after": "1" });
    server.instead.push(busy);
    const start = performance.now();
    await using watched = new Watched(server);
    await watched.settled(server);
    expect(watched.requested[0]).toBe("list 429");
    expect(performance.now() - start).toBeGreaterThanOrEqual(1000);
  });

  test("that begins no answer, or does not end one, is given up", async () => {
    await using server = new FakeKubernetes();
    const never = () =>
      new Response(
        new ReadableStream({
          start: (controller) => controller.enqueue(new TextEncoder().encode('{"kind":"PodList",')),
        }),
      );
    server.instead.push(never);
    await using watched = new Watched(server, { listMs: 50 });
    await watched.settled(server);
    expect(watched.states).toEqual(["the answer has not ended within 0.05 s", true]);
  });

  test.each([
    ["no JSON", "<html>", "what it sends is no JSON"],
    ["no list of pods", '{"kind":"NodeList","items":[]}', "what it answers is no list of pods"],
    ["null", "null", "what it answers is no list of pods"],
    ["more than is taken", " ".repeat(70_000), "the answer is longer than 65536 bytes"],
  ])("that answers %s is not believed", async (_, body, message) => {
    await using server = new FakeKubernetes();
    server.instead.push(() => new Response(body));
    await using watched = new Watched(server, { pageBytesMax: 65_536 });
    await watched.settled(server);
    expect(watched.states).toEqual([message, true]);
    expect(watched.watch.size).toBe(HERE);
  });

  test.each([
    ["no JSON", "{]\n", "what it sends is no JSON"],
    ["no change", line("SURPRISE", {}), "what it sends is no change of a pod"],
    ["null", "null\n", "what it sends is no change of a pod"],
    ["a line without end", "x".repeat(20_000), "a line is longer than 16384 bytes"],
    ["an error", line("ERROR", { code: 500, message: "etcd is away" }), "etcd is away"],
    ["an error of no kind", line("ERROR", null), "the watch ended"],
    ["an error of a kind of its own", line("ERROR", { code: 1e300 }), "the watch ended"],
  ])("that tells who watches %s is listed again", async (_, text, message) => {
    await using server = new FakeKubernetes();
    await using watched = new Watched(server, { changeBytesMax: 16_384 });
    await watched.settled(server);
    server.tell(text);
    await until("it is listed again", () => watched.states.length === 3);
    expect(watched.states).toEqual([true, message, true]);
    expect(watched.watch.size).toBe(HERE);
    for (const each of watched.requested) expect(each).toMatch(/^(list|watch) (ok|error|500)$/);
  });

  test("is followed on when what is told of it is not taken", async () => {
    await using server = new FakeKubernetes();
    server.instead.push(forbidden);
    const fail = () => {
      throw new Error("full");
    };
    const events = { requested: fail, leftOut: fail, changed: fail };
    const limits = { backoffFirstMs: 1, backoffMaxMs: 20 };
    await using watch = new PodWatch(server.access, NODE, events, limits);
    await until("pods are known", () => watch.size === HERE);
  });

  test("that sends pods that are none leaves them out", async () => {
    await using server = new FakeKubernetes();
    await using watched = new Watched(server);
    await watched.settled(server);
    server.tell(line("ADDED", { metadata: { name: "<b>", uid: "1" } }) + line("DELETED", { a: 1 }));
    await until("it is counted", () => watched.leftOut.length === 1);
    expect(watched.watch.size).toBe(HERE);
  });

  test("is let go of at once, also while it answers", async () => {
    await using server = new FakeKubernetes();
    const watched = new Watched(server);
    await watched.settled(server);
    await watched[Symbol.asyncDispose]();
    await until("the server sees it", () => server.watches === 0);
    const { length } = server.asked;
    server.bookmark();
    expect(server.asked).toHaveLength(length);
  });
});

describe("where the server is", () => {
  test("a pod is told, and others are not", async () => {
    await using server = new FakeKubernetes();
    expect(inCluster(server.env, server.folder)).toEqual(server.access);
    expect(inCluster({}, server.folder)).toBeUndefined();
    expect(inCluster(server.env, "/nowhere")).toBeUndefined();
    const v6 = { KUBERNETES_SERVICE_HOST: "fd00::1" };
    expect(inCluster(v6, server.folder)?.url).toBe("https://[fd00::1]:443");
  });

  test("is an address of https, or of this host", () => {
    expect(parseServerUrl("https://10.96.0.1:443/")).toBe("https://10.96.0.1");
    expect(parseServerUrl("http://127.0.0.1:8001")).toBe("http://127.0.0.1:8001");
    expect(parseServerUrl("https://rancher.example/k8s/clusters/c-1/")).toEndWith("/c-1");
    for (const url of [
      "http://10.0.0.1",
      "ftp://a",
      "nonsense",
      "https://u:p@a",
      "https://a?b=c",
    ]) {
      expect(() => parseServerUrl(url)).toThrow();
    }
  });
});
