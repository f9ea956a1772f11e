// Perfetto's own schema, as its package for Python has it: decodes a file, and says what in it the schema does not know.

import { existsSync } from "node:fs";
import { join } from "node:path";
import { ROOT } from "../../scripts/root.ts";

const VERSION = "0.59.1";
const FOLDER = join(ROOT, ".cache/perfetto");
const PYTHON = join(FOLDER, "bin/python");
const SCHEMA = "perfetto.protos.perfetto.trace.perfetto_trace_pb2";

const DECODE = `
import json, sys
from google.protobuf import json_format
from google.protobuf.unknown_fields import UnknownFieldSet
import ${SCHEMA} as schema

trace = schema.Trace()
trace.ParseFromString(open(sys.argv[1], "rb").read())
unknown = []
def look(message, path):
    unknown.extend(f"{path}: {field.field_number}" for field in UnknownFieldSet(message))
    for field, value in message.ListFields():
        if field.message_type is None: continue
        many = value if hasattr(value, "__len__") else [value]
        for each in many: look(each, f"{path}.{field.name}")
for packet in trace.packet: look(packet, "packet")
packets = [json_format.MessageToDict(packet, preserving_proto_field_name=True) for packet in trace.packet]
json.dump({"unknown": unknown, "packets": packets}, sys.stdout)
`;

function run(command: readonly string[]): { isDone: boolean; said: string } {
  try {
    const child = Bun.spawnSync([...command], { stdout: "pipe", stderr: "pipe" });
    return { isDone: child.success, said: child.stderr.toString() };
  } catch (error) {
    return { isDone: false, said: (error as Error).message };
  }
}

/** Installs the schema below .cache. @returns why it is not there, or undefined when it is */
export function withoutPerfetto(): string | undefined {
  if (existsSync(PYTHON) && run([PYTHON, "-c", `import ${SCHEMA}`]).isDone) return undefined;
  const made = run(["python3", "-m", "venv", "--clear", FOLDER]);
  if (!made.isDone) return "python3 with venv is not here";
  const pip = [PYTHON, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
  const installed = run([...pip, `perfetto==${VERSION}`]);
  return installed.isDone ? undefined : "PyPI cannot be reached";
}

/** A packet as the schema reads it: 64-bit numbers are text. */
export interface Packet {
  timestamp?: string;
  trusted_packet_sequence_id: number;
  sequence_flags: number;
  clock_snapshot?: { clocks: { clock_id: number; timestamp: string }[] };
  track_descriptor?: {
    uuid: string;
    name?: string;
    parent_uuid?: string;
    process?: { pid: number; process_name: string; process_labels?: string[] };
    thread?: { pid: number; tid: number; thread_name: string };
    counter?: { unit_name?: string };
  };
  track_event?: {
    type: string;
    track_uuid: string;
    name?: string;
    name_iid?: string;
    categories?: string[];
    double_counter_value?: number;
    flow_ids?: string[];
    terminating_flow_ids?: string[];
    debug_annotations?: { name?: string; name_iid?: string; string_value: string }[];
  };
  interned_data?: Record<string, { iid: string; name: string }[]>;
}

export async function decodePerfetto(
  path: string,
): Promise<{ unknown: string[]; packets: Packet[] }> {
  const child = Bun.spawn([PYTHON, "-c", DECODE, path], { stdout: "pipe", stderr: "inherit" });
  return JSON.parse(await new Response(child.stdout).text());
}

/** A slice, an instant or a value, as the viewer shows it. */
export interface Shown {
  kind: "slice" | "instant" | "counter";
  name: string;
  /** From the process down, e.g. `shop/auth > main`. */
  track: string;
  beginNs: bigint;
  /** Of a slice: undefined if it has none. */
  endNs?: bigint | undefined;
  depth?: number;
  value?: number;
  category?: string;
  annotations: Record<string, string>;
  flows: string[];
}

/** What Perfetto makes of packets: it sorts them by time, and takes slices of a track for a stack. */
export function shownOf(packets: readonly Packet[]): Shown[] {
  const tracks = new Map<string, string>();
  const threads = new Map<number, string>();
  const names = { event_names: new Map<string, string>(), debug_annotation_names: new Map() };
  const events: { atNs: bigint; event: NonNullable<Packet["track_event"]> }[] = [];
  for (const { track_descriptor: track, track_event: event, timestamp, interned_data } of packets) {
    for (const kind of ["event_names", "debug_annotation_names"] as const) {
      for (const { iid, name } of interned_data?.[kind] ?? []) names[kind].set(iid, name);
    }
    if (track?.process !== undefined) {
      tracks.set(track.uuid, track.process.process_name);
      threads.set(track.process.pid, track.process.process_name);
    } else if (track?.thread !== undefined) {
      tracks.set(track.uuid, `${threads.get(track.thread.pid)} > ${track.thread.thread_name}`);
    } else if (track !== undefined) {
      tracks.set(track.uuid, `${tracks.get(track.parent_uuid!)} > ${track.name}`);
    }
    if (event === undefined) continue;
    const name = event.name ?? names.event_names.get(event.name_iid ?? "");
    const annotations = event.debug_annotations?.map((each) => ({
      ...each,
      name: each.name ?? names.debug_annotation_names.get(each.name_iid ?? ""),
    }));
    events.push({
      atNs: BigInt(timestamp!),
      event: {
        ...event,
        ...(name === undefined ? {} : { name }),
        ...(annotations === undefined ? {} : { debug_annotations: annotations }),
      },
    });
  }
  const open = new Map<string, Shown[]>();
  return events
    .sort((a, b) => Number(a.atNs - b.atNs))
    .flatMap(({ atNs, event }): Shown[] => {
      const stack = open.get(event.track_uuid) ?? [];
      open.set(event.track_uuid, stack);
      if (event.type === "TYPE_SLICE_END") {
        stack.pop()!.endNs = atNs;
        return [];
      }
      const shown: Shown = {
        kind:
          event.type === "TYPE_COUNTER"
            ? "counter"
            : event.type === "TYPE_INSTANT"
              ? "instant"
              : "slice",
        name: event.name ?? "",
        track: tracks.get(event.track_uuid)!,
        beginNs: atNs,
        ...(event.double_counter_value === undefined ? {} : { value: event.double_counter_value }),
        ...(event.categories === undefined ? {} : { category: event.categories[0]! }),
        annotations: Object.fromEntries(
          (event.debug_annotations ?? []).map((each) => [each.name, each.string_value]),
        ),
        flows: [...(event.flow_ids ?? []), ...(event.terminating_flow_ids ?? [])],
      };
      if (shown.kind !== "slice") return [shown];
      shown.depth = stack.length;
      stack.push(shown);
      return [shown];
    });
}
