// A small API server of Kubernetes: pods alone, by list and watch, over TLS with a certificate of its own, for who shows
// the token of the moment. What it answers is what a server of 1.30 does, in its words; what goes wrong there can be
// made to go wrong here.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { KubernetesAccess } from "../../src/identity/index.ts";

/** A pod as the server gives it. */
// biome-ignore lint/suspicious/noExplicitAny: a pod has some hundred fields, and tests change any of them
export type PodObject = any;

export interface AskedFor {
  verb: "list" | "watch";
  query: Record<string, string>;
  token: string;
  status: number;
}

interface Watcher {
  selector: string;
  send(text: string): void;
  end(): void;
  break(): void;
}

interface Change {
  version: number;
  type: "ADDED" | "MODIFIED" | "DELETED";
  object: PodObject;
}

const PODS: { items: PodObject[] } = JSON.parse(
  readFileSync(join(import.meta.dir, "../identity/fixtures/pods.json"), "utf8"),
);

/** Pods as a server has told them, each again: change them as you like. */
export function recordedPods(): PodObject[] {
  // In a list the items go without these two; in a watch they have them.
  return structuredClone(PODS.items).map((pod) => ({ apiVersion: "v1", kind: "Pod", ...pod }));
}

/** A recorded pod. @throws Error when there is none of that name */
export function recordedPod(name: string): PodObject {
  const pod = recordedPods().find(({ metadata }) => metadata.name.startsWith(name));
  if (pod === undefined) throw new Error(`no pod ${name} was recorded`);
  return pod;
}

/** Id of the container of a pod, without its runtime. */
export function containerId(pod: PodObject, name: string): string {
  const {
    containerStatuses,
    initContainerStatuses = [],
    ephemeralContainerStatuses = [],
  } = pod.status;
  const statuses = [...containerStatuses, ...initContainerStatuses, ...ephemeralContainerStatuses];
  const status = statuses.find((each: PodObject) => each.name === name);
  return status.containerID.replace(/^.*:\/\//, "");
}

export class FakeKubernetes implements AsyncDisposable {
  /** As the kubelet lays it into a pod: token, ca.crt, namespace. */
  readonly folder = mkdtempSync("/tmp/microview-kubernetes-");
  readonly asked: AskedFor[] = [];
  /** What it does instead, next: each once, in turn; undefined answers as usual. */
  readonly instead: ((request: Request) => Response | undefined)[] = [];
  token = "";
  /** A server answers from its cache without pages; one that pages always is older, or not a server but a proxy. */
  pagesAlways = false;
  readonly #server: Bun.Server<undefined>;
  readonly #pods = new Map<string, PodObject>();
  readonly #watchers = new Set<Watcher>();
  #changes: Change[] = [];
  #version = 1000;
  /** Of versions before this one nothing is known. */
  #oldest = 0;

  constructor(pods: readonly PodObject[] = recordedPods()) {
    for (const pod of pods) this.#pods.set(pod.metadata.uid, pod);
    const { ca, cert, key } = certificates();
    writeFileSync(join(this.folder, "ca.crt"), ca);
    writeFileSync(join(this.folder, "namespace"), "microview");
    this.rotateToken();
    this.#server = this.#serve(0, cert, key);
  }

  get url(): string {
    return `https://127.0.0.1:${this.#server.port}`;
  }

  get access(): KubernetesAccess {
    return {
      url: this.url,
      tokenFile: join(this.folder, "token"),
      caFile: join(this.folder, "ca.crt"),
    };
  }

  /** What the kubelet sets in each container. */
  get env(): Record<string, string> {
    return {
      KUBERNETES_SERVICE_HOST: "127.0.0.1",
      KUBERNETES_SERVICE_PORT: String(this.#server.port),
    };
  }

  get watches(): number {
    return this.#watchers.size;
  }

  /** A new token in the pod's file; the one before holds no longer. */
  rotateToken(): void {
    this.token = `eyJhbGciOiJSUzI1NiJ9.${Buffer.from(crypto.randomUUID()).toString("base64url")}.c2ln`;
    writeFileSync(join(this.folder, "token"), this.token);
  }

  /** A pod comes or changes. */
  put(pod: PodObject): void {
    const known = this.#pods.has(pod.metadata.uid);
    this.#change(known ? "MODIFIED" : "ADDED", pod);
  }

  remove(uid: string): void {
    this.#change("DELETED", this.#pods.get(uid));
  }

  /** Tells those who watch how far it is, as it does every minute. */
  bookmark(): void {
    const object = {
      kind: "Pod",
      apiVersion: "v1",
      metadata: { resourceVersion: String(this.#version), creationTimestamp: null },
      spec: { containers: null },
      status: {},
    };
    this.tell(line("BOOKMARK", object));
  }

  /** Pods change that nobody here sees. */
  advance(by = 100): void {
    this.#version += by;
  }

  /** Forgets what was before now, as etcd does every five minutes. */
  compact(): void {
    this.#changes = [];
    this.#oldest = this.#version;
  }

  /** Sends all who watch what is given. */
  tell(text: string): void {
    for (const watcher of this.#watchers) watcher.send(text);
  }

  /** Ends all watches as when their time is over. */
  endWatches(): void {
    for (const watcher of this.#watchers) watcher.end();
  }

  /** Ends them in the middle. */
  breakWatches(): void {
    for (const watcher of this.#watchers) watcher.break();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.endWatches();
    await this.#server.stop(true);
    rmSync(this.folder, { recursive: true, force: true });
  }

  #serve(port: number, cert: string, key: string): Bun.Server<undefined> {
    return Bun.serve({
      hostname: "127.0.0.1",
      port,
      idleTimeout: 0,
      tls: { cert, key },
      fetch: (request) => {
        const response = this.instead.shift()?.(request) ?? this.#answer(request);
        const query = Object.fromEntries(new URL(request.url).searchParams);
        const token = (request.headers.get("authorization") ?? "").replace(/^Bearer /, "");
        const verb = query["watch"] === "1" ? "watch" : "list";
        this.asked.push({ verb, query, token, status: response.status });
        return response;
      },
    });
  }

  #answer(request: Request): Response {
    const { pathname, searchParams } = new URL(request.url);
    if (request.headers.get("authorization") !== `Bearer ${this.token}`) {
      return failure(401, "Unauthorized", "Unauthorized");
    }
    if (pathname !== "/api/v1/pods")
      return failure(404, "NotFound", "the server could not find it");
    if (!/^spec\.nodeName=[^,]+$/.test(searchParams.get("fieldSelector") ?? "")) {
      return forbidden();
    }
    return searchParams.get("watch") === "1" ? this.#watch(searchParams) : this.#list(searchParams);
  }

  #list(query: URLSearchParams): Response {
    const cached = query.get("resourceVersion") === "0" && !this.pagesAlways;
    const limit = cached ? Number.POSITIVE_INFINITY : Number(query.get("limit") ?? 500);
    let [version, start] = [this.#version, 0];
    const token = query.get("continue");
    if (token !== null) {
      [version, start] = JSON.parse(Buffer.from(token, "base64url").toString());
      if (version < this.#oldest) {
        return failure(410, "Expired", "The provided continue parameter is too old");
      }
    }
    const selector = query.get("fieldSelector")!;
    const pods = [...this.#pods.values()].filter((pod) => fits(pod, selector));
    const items = pods
      .slice(start, start + limit)
      .map(({ apiVersion: _, kind: __, ...pod }) => pod);
    const left = pods.length - start - items.length;
    const next = Buffer.from(JSON.stringify([version, start + limit])).toString("base64url");
    return Response.json({
      kind: "PodList",
      apiVersion: "v1",
      metadata: {
        resourceVersion: String(version),
        ...(left > 0 ? { continue: next, remainingItemCount: left } : {}),
      },
      items,
    });
  }

  #watch(query: URLSearchParams): Response {
    const from = Number(query.get("resourceVersion"));
    const selector = query.get("fieldSelector")!;
    const changes = this.#changes.filter(
      ({ version, object }) => version > from && fits(object, selector),
    );
    const tooOld = from < this.#oldest;
    let watcher: Watcher | undefined;
    const encoder = new TextEncoder();
    const stream = new ReadableStream<Uint8Array>({
      start: (controller) => {
        if (tooOld) {
          const message = `too old resource version: ${from} (${this.#oldest})`;
          controller.enqueue(encoder.encode(line("ERROR", status(410, "Expired", message))));
          controller.close();
          return;
        }
        const forget = () => this.#watchers.delete(watcher!);
        watcher = {
          selector,
          send: (text) => controller.enqueue(encoder.encode(text)),
          end: () => {
            forget();
            controller.close();
          },
          break: () => {
            forget();
            controller.error();
          },
        };
        this.#watchers.add(watcher);
        // Bun sends no header before there is a body; the server does.
        watcher.send("\n");
        for (const { type, object } of changes) watcher.send(line(type, object));
      },
      cancel: () => {
        if (watcher !== undefined) this.#watchers.delete(watcher);
      },
    });
    return new Response(stream, { headers: { "content-type": "application/json" } });
  }

  #change(type: Change["type"], pod: PodObject): void {
    const version = ++this.#version;
    const object = structuredClone(pod);
    object.metadata.resourceVersion = String(version);
    if (type === "DELETED") this.#pods.delete(object.metadata.uid);
    else this.#pods.set(object.metadata.uid, object);
    this.#changes.push({ version, type, object });
    for (const watcher of this.#watchers) {
      if (fits(object, watcher.selector)) watcher.send(line(type, object));
    }
  }
}

/** An answer that says why it is none, as the server words it. */
export function failure(code: number, reason: string, message: string, headers = {}): Response {
  return Response.json(status(code, reason, message), { status: code, headers });
}

export function forbidden(): Response {
  return failure(
    403,
    "Forbidden",
    'pods is forbidden: User "system:serviceaccount:microview:microview-agent" cannot list resource "pods" in API group "" at the cluster scope',
  );
}

/** One line of a watch. */
export function line(type: string, object: unknown): string {
  return `${JSON.stringify({ type, object })}\n`;
}

function status(code: number, reason: string, message: string) {
  return {
    kind: "Status",
    apiVersion: "v1",
    metadata: {},
    status: "Failure",
    message,
    reason,
    code,
  };
}

function fits(pod: PodObject, selector: string): boolean {
  return selector === `spec.nodeName=${pod.spec.nodeName}`;
}

interface Certificates {
  ca: string;
  cert: string;
  key: string;
}

let made: Certificates | undefined;

/** A certificate authority, and a server's certificate by it for the address that pods are given. */
export function certificates(): Certificates {
  made ??= makeCertificates();
  return made;
}

function makeCertificates(): Certificates {
  const folder = mkdtempSync("/tmp/microview-ca-");
  const openssl = (...args: string[]) => {
    const { success, stderr } = Bun.spawnSync(["openssl", ...args], {
      cwd: folder,
      stderr: "pipe",
    });
    if (!success) throw new Error(stderr.toString());
  };
  const curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
  try {
    openssl(
      ...["req", "-x509", ...curve, "-days", "2", "-subj", "/CN=kubernetes"],
      ...["-keyout", "ca.key", "-out", "ca.crt"],
    );
    writeFileSync(
      join(folder, "names"),
      "subjectAltName=DNS:kubernetes.default.svc,IP:127.0.0.1\nextendedKeyUsage=serverAuth\n",
    );
    openssl(
      ...["req", ...curve, "-subj", "/CN=kube-apiserver", "-keyout", "server.key"],
      ...["-out", "server.csr"],
    );
    openssl(
      ...["x509", "-req", "-in", "server.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-days", "2"],
      ...["-CAcreateserial", "-extfile", "names", "-out", "server.crt"],
    );
    const read = (name: string) => readFileSync(join(folder, name), "utf8");
    return { ca: read("ca.crt"), cert: read("server.crt"), key: read("server.key") };
  } finally {
    rmSync(folder, { recursive: true });
  }
}
