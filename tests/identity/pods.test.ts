// What is read of the pods that an API server tells: names, containers, workloads; and of what is none of that.

import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { PodIndex } from "../../src/identity/kubernetes/pod-index.ts";
import { type Pod, parsePod } from "../../src/identity/kubernetes/pods.ts";
import { containerId, recordedPod, recordedPods } from "../support/kubernetes.ts";

function parsed(name: string): Pod {
  const pod = parsePod(recordedPod(name));
  if (pod === undefined) throw new Error(`${name} is no pod`);
  return pod;
}

describe("a recorded pod", () => {
  test("has its names, and its containers by their ids", () => {
    const object = recordedPod("auth-7d9f8c6b54-x2x7q");
    const pod = parsePod(object)!;
    expect(pod).toMatchObject({
      uid: object.metadata.uid,
      staticUid: "",
      name: "auth-7d9f8c6b54-x2x7q",
      namespace: "shop",
      nodeName: "node-1",
    });
    for (const name of ["auth", "envoy", "migrate", "logs"]) {
      expect(pod.containers.get(containerId(object, name))).toBe(name);
    }
    // The one before the restart, too.
    const [auth] = object.status.containerStatuses;
    const before = auth.lastState.terminated.containerID.replace("containerd://", "");
    expect(pod.containers.get(before)).toBe("auth");
    expect(pod.containers.size).toBe(5);
  });

  test("has the containers that came to debug it", () => {
    const object = recordedPod("cart-0");
    const id = containerId(object, "debugger-9x4zt");
    expect(parsePod(object)!.containers.get(id)).toBe("debugger-9x4zt");
  });

  test("without containers yet is a pod all the same", () => {
    expect(parsed("lonely")).toMatchObject({ name: "lonely", workloadKind: "", workloadName: "" });
    expect(parsed("lonely").containers.size).toBe(0);
  });

  test("that is static is known by its hash as well", () => {
    const object = recordedPod("kube-proxy-node-1");
    const hash = object.metadata.annotations["kubernetes.io/config.hash"];
    const pod = parsePod(object)!;
    expect(pod).toMatchObject({ staticUid: hash, workloadKind: "" });
    const index = new PodIndex(10);
    index.put(pod);
    expect(index.find("", hash)?.pod.name).toBe("kube-proxy-node-1");
    index.remove(pod.uid);
    expect(index.find("", hash)).toBeUndefined();
  });

  test.each([
    ["auth-7d9f8c6b54-x2x7q", "Deployment", "auth", true],
    ["cart-0", "StatefulSet", "cart", false],
    ["report-", "CronJob", "report", true],
    // Its number is a date, and not the minute that it was made.
    ["import-20261120-w8r2d", "Job", "import-20261120", false],
    ["microview-agent-", "DaemonSet", "microview-agent", false],
  ])("%s is of %s %s", (name, workloadKind, workloadName, workloadGuessed) => {
    expect(parsed(name)).toMatchObject({ workloadKind, workloadName, workloadGuessed });
  });

  test("of a ReplicaSet that no Deployment has named stays the ReplicaSet's", () => {
    const object = recordedPod("auth-7d9f8c6b54-x2x7q");
    delete object.metadata.labels["pod-template-hash"];
    expect(parsePod(object)).toMatchObject({
      workloadKind: "ReplicaSet",
      workloadName: "auth-7d9f8c6b54",
      workloadGuessed: false,
    });
  });
});

describe("what is no pod", () => {
  test("is left out", () => {
    const none = [
      undefined,
      null,
      7,
      "pod",
      [],
      {},
      { metadata: 5 },
      { metadata: { name: "a", namespace: "b" } },
      { metadata: { name: "A b", namespace: "b", uid: "1" } },
      { metadata: { name: "a", namespace: "b", uid: 'x"\n' } },
      { metadata: { name: "a".repeat(254), namespace: "b", uid: "1" } },
      { metadata: { name: "a", namespace: "b.c", uid: "1" } },
    ];
    for (const value of none) expect(parsePod(value)).toBeUndefined();
  });

  test("in its parts leaves out these parts", () => {
    const object = recordedPod("auth-7d9f8c6b54-x2x7q");
    object.metadata.ownerReferences = { controller: true };
    object.metadata.labels = "none";
    object.spec = null;
    object.status.containerStatuses[0].containerID = "containerd://short";
    object.status.containerStatuses[1].name = "not a name";
    object.status.initContainerStatuses = [null, 7, { name: "logs" }];
    const pod = parsePod(object)!;
    expect(pod).toMatchObject({ nodeName: "", workloadKind: "", name: "auth-7d9f8c6b54-x2x7q" });
    expect([...pod.containers.values()]).toEqual(["auth"]);
  });

  test("with containers without end is cut", () => {
    const object = recordedPod("lonely");
    object.status.containerStatuses = Array.from({ length: 2000 }, (_, i) => ({
      name: "c",
      containerID: `containerd://${String(i).padStart(64, "0")}`,
    }));
    expect(parsePod(object)!.containers.size).toBe(512);
  });

  test("never throws, whatever a field holds", () => {
    const pods = recordedPods();
    fc.assert(
      fc.property(fc.nat(), fc.nat(), fc.json(), (which, where, json) => {
        const pod = pods[which % pods.length];
        const places: [object, string][] = [];
        const walk = (value: object) => {
          for (const [key, each] of Object.entries(value)) {
            places.push([value, key]);
            if (typeof each === "object" && each !== null) walk(each);
          }
        };
        walk(pod);
        const [holder, key] = places[where % places.length]! as [Record<string, unknown>, string];
        const before = holder[key];
        holder[key] = JSON.parse(json);
        const result = parsePod(pod);
        holder[key] = before;
        expect(result === undefined || result.containers.size <= 512).toBeTrue();
      }),
      { numRuns: 300 },
    );
  });
});

describe("the index", () => {
  const pods = recordedPods().map((each) => parsePod(each)!);

  test("finds by container, else by pod", () => {
    const index = new PodIndex(100);
    for (const pod of pods) expect(index.put(pod)).toBeTrue();
    for (const pod of pods) {
      for (const [id, name] of pod.containers) expect(index.find(id, "")).toEqual({ pod, name });
      expect(index.find("", pod.uid)).toEqual({ pod, name: "" });
    }
    expect(index.find("", "")).toBeUndefined();
  });

  test("holds nothing of what has gone or changed", () => {
    const index = new PodIndex(100);
    const [pod] = pods.filter(({ containers }) => containers.size > 0);
    const [id] = pod!.containers.keys();
    index.put(pod!);
    index.put({ ...pod!, containers: new Map() });
    expect(index.find(id!, "")).toBeUndefined();
    expect(index.size).toBe(1);
    index.remove(pod!.uid);
    expect(index.find("", pod!.uid)).toBeUndefined();
    expect(index.size).toBe(0);
  });

  test("takes no more than it may, but changes of what it has", () => {
    const index = new PodIndex(2);
    expect(pods.slice(0, 3).map((pod) => index.put(pod))).toEqual([true, true, false]);
    expect(index.put(pods[1]!)).toBeTrue();
    expect(index.size).toBe(2);
  });
});
