// The pods of a node by what cgroups tell of a process: its container's id, or its pod's uid.

import type { Pod } from "./pods.ts";

export class PodIndex {
  readonly #pods = new Map<string, Pod>();
  /** The uid by the hash of a static pod. */
  readonly #static = new Map<string, string>();
  readonly #containers = new Map<string, { pod: Pod; name: string }>();

  constructor(
    /** A kubelet takes 110 unless told otherwise. */
    readonly podsMax: number,
  ) {}

  get size(): number {
    return this.#pods.size;
  }

  /** Takes a pod, in the place of the same one as it was. @returns false when there is no room for it */
  put(pod: Pod): boolean {
    this.remove(pod.uid);
    if (this.#pods.size >= this.podsMax) return false;
    this.#pods.set(pod.uid, pod);
    if (pod.staticUid !== "") this.#static.set(pod.staticUid, pod.uid);
    for (const [id, name] of pod.containers) this.#containers.set(id, { pod, name });
    return true;
  }

  remove(uid: string): void {
    const pod = this.#pods.get(uid);
    if (pod === undefined) return;
    this.#pods.delete(uid);
    if (this.#static.get(pod.staticUid) === uid) this.#static.delete(pod.staticUid);
    for (const id of pod.containers.keys()) {
      // Another pod may claim it meanwhile, however wrongly.
      if (this.#containers.get(id)?.pod === pod) this.#containers.delete(id);
    }
  }

  /** @param podUid as the cgroup has it, which of a static pod is its hash */
  find(containerId: string, podUid: string): { pod: Pod; name: string } | undefined {
    const container = this.#containers.get(containerId);
    if (container !== undefined) return container;
    const pod = this.#pods.get(podUid) ?? this.#pods.get(this.#static.get(podUid) ?? "");
    return pod && { pod, name: "" };
  }
}
