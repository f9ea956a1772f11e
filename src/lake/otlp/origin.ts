// Who sent OTLP, by the attributes of its resource: the process and the stream that its events are kept under.

import { type BlockProcess, type BlockStream, headerApp, headerText } from "../../layout/index.ts";
import { pairsIn, Room, textOf } from "./attributes.ts";
import type { Message, Signal } from "./messages.ts";

/** Where there is no service.namespace, and no service.name: the semantic conventions name the latter so. */
const NO_APP = "default";
const NO_SERVICE = "unknown_service";

/** What tells processes apart. What else a resource says may change while the process lives. */
const IDENTITY = [
  ...["service.namespace", "service.name", "service.instance.id"],
  ...["host.id", "host.name", "process.pid", "container.id", "k8s.pod.uid", "k8s.pod.name"],
];

/** Attributes that have a place of their own. */
const PLACES = {
  container: ["container.name", "container.id"],
  pod: ["k8s.pod.name"],
  namespace: ["k8s.namespace.name"],
  image: ["container.image.name"],
} as const;
const TAKEN = new Set<string>([
  ...["service.namespace", "service.name", "host.name", "process.pid", "process.owner"],
  ...["process.executable.path", "process.runtime.name", "process.runtime.version"],
  ...["container.name", "k8s.pod.name", "k8s.namespace.name", "container.image.name"],
]);

// A block's header has 64 KiB, and JSON may have six bytes for a character.
const TEXT_MAX = 500;
const PROPERTIES_CHARACTERS_MAX = 4_000;
const PID_MAX = 2 ** 32;

export interface Origin {
  process: Omit<BlockProcess, "startNs">;
  stream: Omit<BlockStream, "startNs">;
}

/** @throws OtlpError */
export function originOf(resource: Message, signal: Signal): Origin {
  const pairs = pairsIn(resource, "attributes", new Room());
  const texts = new Map(Object.entries(pairs).map(([key, value]) => [key, textOf(value)]));
  const get = (...keys: readonly string[]) => {
    const key = keys.find((each) => (texts.get(each) ?? "") !== "");
    return key === undefined ? "" : headerText(texts.get(key)!, TEXT_MAX);
  };
  const processId = digest(JSON.stringify(IDENTITY.map((key) => texts.get(key) ?? ""))).slice(
    0,
    32,
  );
  const pid = Number(get("process.pid"));
  const process: Origin["process"] = {
    processId,
    app: headerApp(get("service.namespace")) || NO_APP,
    service: get("service.name") || NO_SERVICE,
    pid: Number.isInteger(pid) && pid >= 0 && pid < PID_MAX ? pid : 0,
    host: get("host.name"),
    user: get("process.owner"),
    exe: get("process.executable.path", "process.executable.name"),
    runtime: [get("process.runtime.name"), get("process.runtime.version")].join(" ").trim(),
    properties: propertiesOf(texts),
  };
  for (const [place, keys] of Object.entries(PLACES)) {
    const text = get(...keys);
    if (text !== "") process[place as keyof typeof PLACES] = text;
  }
  return {
    process,
    stream: {
      streamId: digest(`${processId} ${signal}`).slice(0, 16),
      threadId: 0,
      ...(signal === "metrics" ? { kind: "metrics" as const } : {}),
    },
  };
}

function propertiesOf(texts: ReadonlyMap<string, string>): Record<string, string> {
  const properties: [string, string][] = [];
  let left = PROPERTIES_CHARACTERS_MAX;
  for (const [key, text] of texts) {
    if (TAKEN.has(key)) continue;
    const value = headerText(text, TEXT_MAX);
    left -= key.length + value.length;
    if (left < 0) break;
    properties.push([headerText(key), value]);
  }
  return Object.fromEntries(properties);
}

/** Hex digits of SHA-256. */
export function digest(data: string | Uint8Array): string {
  return new Bun.CryptoHasher("sha256").update(data).digest("hex");
}
