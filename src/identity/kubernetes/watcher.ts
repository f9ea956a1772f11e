// Follows the pods of one node: lists them, then watches what changes (kubernetes.io, "Kubernetes API Concepts",
// "Efficient detection of changes"). An API server that is away, or refuses, only leaves names out.

import { jittered } from "../../calling/index.ts";
import type { ProcessIdentity } from "../../layout/index.ts";
import type { KubernetesAccess } from "./access.ts";
import { PodIndex } from "./pod-index.ts";
import { fields, identityIn, list, parsePod, text } from "./pods.ts";
import { ask, follow, ServerError } from "./requests.ts";

const GONE = 410;
const RESOURCE_VERSION = /^[\x21-\x7e]{0,256}$/;
const CONTINUE = /^[\x21-\x7e]{0,4096}$/;

/** How much is asked for, waited for and kept. */
export interface PodWatchLimits {
  podsMax: number;
  /** Pods of one page of a list, and bytes of it. Of 100 pods as they are usually it takes 1 or 2 MB. */
  pagePods: number;
  pageBytesMax: number;
  /** Of one change: etcd takes objects up to 1.5 MiB. */
  changeBytesMax: number;
  beginMs: number;
  listMs: number;
  /** How long the server is asked to go on with one watch, at least; it is up to twice as long. */
  watchMs: number;
  /** Between attempts, from first to last, doubled each time; each is between half and one and a half of that. */
  backoffFirstMs: number;
  backoffMaxMs: number;
}

const POD_WATCH_LIMITS: Readonly<PodWatchLimits> = {
  podsMax: 2048,
  pagePods: 100,
  pageBytesMax: 16 << 20,
  changeBytesMax: 4 << 20,
  beginMs: 30_000,
  listMs: 60_000,
  watchMs: 300_000,
  backoffFirstMs: 500,
  backoffMaxMs: 30_000,
};

/** What is told of the requests. */
interface PodWatchEvents {
  /** @param result "ok" or the status of HTTP, or "error" where nothing was answered that could be used */
  requested(verb: "list" | "watch", result: string): void;
  /** Something that is no pod, or is one too many, was left out. */
  leftOut(reason: "malformed" | "full"): void;
  /** Names are known, or no longer brought up to date and why. Only changes are told. */
  changed(state: { current: true } | { current: false; error: ServerError }): void;
}

/** The names of a node's pods, as far as the API server tells them. */
export class PodWatch implements AsyncDisposable {
  readonly #access: KubernetesAccess;
  readonly #events: PodWatchEvents;
  readonly #limits: PodWatchLimits;
  readonly #selector: string;
  readonly #stop = new AbortController();
  readonly #ended: Promise<void>;
  #pods: PodIndex;
  /** What the server calls the state that is known; undefined when pods have to be listed again. */
  #version: string | undefined;
  /** The server has said that it cannot go on from what was known: only the newest state will do. */
  #expired = false;
  #failures = 0;
  #current: boolean | undefined;

  /** Begins at once. @param nodeName pods of other nodes are never asked for */
  constructor(
    access: KubernetesAccess,
    nodeName: string,
    events: PodWatchEvents,
    limits: Partial<PodWatchLimits> = {},
  ) {
    this.#access = access;
    this.#events = harmless(events);
    this.#limits = { ...POD_WATCH_LIMITS, ...limits };
    this.#selector = `spec.nodeName=${nodeName}`;
    this.#pods = new PodIndex(this.#limits.podsMax);
    this.#ended = this.#run();
  }

  /** Pods that are known. */
  get size(): number {
    return this.#pods.size;
  }

  /** An identity with the names that are known; the same one when none are. */
  complete(identity: ProcessIdentity): ProcessIdentity {
    const { containerId, podUid } = identity;
    const found = this.#pods.find(containerId, podUid);
    return found === undefined ? identity : { ...identity, ...identityIn(found.pod, found.name) };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#ended;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      const verb = this.#version === undefined ? "list" : "watch";
      try {
        await (verb === "list" ? this.#list() : this.#watch());
        this.#events.requested(verb, "ok");
      } catch (error) {
        if (signal.aborted) return;
        const failure = error instanceof ServerError ? error : new ServerError(String(error));
        this.#events.requested(verb, failure.status === 0 ? "error" : String(failure.status));
        this.#failed(failure);
        await this.#pause(failure.retryAfterMs);
      }
    }
  }

  async #list(): Promise<void> {
    const { podsMax, pagePods, pageBytesMax, beginMs, listMs } = this.#limits;
    const pods = new PodIndex(podsMax);
    // From the server's cache, as kubelets do: asking for the newest goes to etcd, from each node at once.
    const from = this.#expired ? {} : { resourceVersion: "0" };
    let next = "";
    let version = "";
    for (let page = 0; page * pagePods < podsMax; page++) {
      const path = this.#path({
        limit: String(pagePods),
        ...(next === "" ? from : { continue: next }),
      });
      const limits = { beginMs, wholeMs: listMs, bytesMax: pageBytesMax };
      const answer = fields(await ask(this.#access, path, limits, this.#stop.signal));
      const metadata = fields(answer["metadata"]);
      if (answer["kind"] !== "PodList") throw new ServerError("what it answers is no list of pods");
      // More than is kept need not be looked at one by one.
      const items = list(answer["items"], podsMax + 1);
      for (const item of items) this.#put(pods, item);
      version = text(metadata["resourceVersion"], RESOURCE_VERSION);
      next = text(metadata["continue"], CONTINUE);
      if (next === "") break;
    }
    if (next !== "") this.#events.leftOut("full");
    this.#pods = pods;
    this.#version = version;
    this.#expired = false;
    this.#failures = 0;
    this.#answers();
  }

  /** Follows what changes until the server ends it, as it does after a while. */
  async #watch(): Promise<void> {
    const { changeBytesMax, beginMs, watchMs } = this.#limits;
    // Nodes that began together should not come back together.
    const lastsMs = watchMs * (1 + Math.random());
    const path = this.#path({
      watch: "1",
      allowWatchBookmarks: "true",
      resourceVersion: this.#version!,
      timeoutSeconds: String(Math.ceil(lastsMs / 1000)),
    });
    const limits = { beginMs, wholeMs: lastsMs + beginMs, bytesMax: changeBytesMax };
    let changes = 0;
    const { signal } = this.#stop;
    for await (const change of follow(this.#access, path, limits, signal, () => this.#answers())) {
      this.#apply(fields(change));
      changes++;
      this.#failures = 0;
    }
    // A proxy that ends each watch at once would be asked without a pause.
    if (changes === 0 && !signal.aborted) await this.#pause(0);
  }

  #apply({ type, object }: Readonly<Record<string, unknown>>): void {
    const value = fields(object);
    if (type === "ERROR") {
      const status = statusOf(value["code"]);
      const message = text(value["message"], /^.{1,300}$/s) || "the watch ended";
      throw new ServerError(message, { status, lost: true });
    }
    const metadata = fields(value["metadata"]);
    if (type === "ADDED" || type === "MODIFIED") this.#put(this.#pods, object);
    else if (type === "DELETED") this.#pods.remove(text(metadata["uid"], /^.{1,64}$/));
    else if (type !== "BOOKMARK") {
      throw new ServerError("what it sends is no change of a pod", { lost: true });
    }
    this.#version = text(metadata["resourceVersion"], RESOURCE_VERSION) || this.#version;
  }

  #put(pods: PodIndex, value: unknown): void {
    const pod = parsePod(value);
    if (pod === undefined) this.#events.leftOut("malformed");
    else if (!pods.put(pod)) this.#events.leftOut("full");
  }

  #path(query: Readonly<Record<string, string>>): string {
    return `/api/v1/pods?${new URLSearchParams({ fieldSelector: this.#selector, ...query })}`;
  }

  #answers(): void {
    if (this.#current !== true) this.#events.changed({ current: true });
    this.#current = true;
  }

  /** What is known stays in use: names do not become wrong by age. */
  #failed(error: ServerError): void {
    this.#expired ||= error.status === GONE;
    if (error.lost) this.#version = undefined;
    // A server forgets what is old, and says so: that is how it works.
    if (error.status === GONE) return;
    if (this.#current !== false) this.#events.changed({ current: false, error });
    this.#current = false;
  }

  #pause(atLeastMs: number): Promise<void> {
    const { backoffFirstMs, backoffMaxMs } = this.#limits;
    const backoffMs = Math.min(backoffFirstMs * 2 ** Math.min(this.#failures++, 30), backoffMaxMs);
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, Math.max(jittered(backoffMs), atLeastMs));
    const stop = () => resolve();
    this.#stop.signal.addEventListener("abort", stop, { once: true });
    return promise.finally(() => {
      clearTimeout(timer);
      this.#stop.signal.removeEventListener("abort", stop);
    });
  }
}

/** A code that a Status can have: it becomes a label. */
function statusOf(code: unknown): number {
  return Number.isInteger(code) && Number(code) >= 400 && Number(code) < 600 ? Number(code) : 0;
}

/** What cannot be told does not end what is told of. */
function harmless(events: PodWatchEvents): PodWatchEvents {
  const quietly =
    <Told extends unknown[]>(tell: (...told: Told) => void) =>
    (...told: Told) => {
      try {
        tell(...told);
      } catch {
        // Whoever listens knows its own limits.
      }
    };
  return {
    requested: quietly(events.requested),
    leftOut: quietly(events.leftOut),
    changed: quietly(events.changed),
  };
}
