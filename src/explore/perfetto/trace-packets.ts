// Events as Perfetto's TracePackets: processes and threads as tracks, spans as slices, logs as instants, measures as
// counters. Field numbers are those of protos/perfetto/trace in https://github.com/google/perfetto.

import { ProtoWriter } from "../../protobuf/index.ts";
import { Lanes } from "./lanes.ts";

const TRACE_PACKET = 1;
const PACKET = {
  ...{ clockSnapshot: 6, timestamp: 8, sequenceId: 10, trackEvent: 11, internedData: 12 },
  ...{ sequenceFlags: 13, trackDescriptor: 60 },
};
const TRACK = { uuid: 1, name: 2, process: 3, thread: 4, parentUuid: 5, counter: 8 };
const PROCESS = { pid: 1, processName: 6, labels: 8 };
const THREAD = { pid: 1, tid: 2, threadName: 5 };
const COUNTER = { unitName: 6 };
const EVENT = {
  ...{ debugAnnotations: 4, type: 9, nameIid: 10, trackUuid: 11, categories: 22, name: 23 },
  ...{ doubleCounterValue: 44, flowIds: 47, terminatingFlowIds: 48 },
};
const ANNOTATION = { nameIid: 1, stringValue: 6, name: 10 };
const INTERNED = { eventNames: 2, annotationNames: 3 };
const INTERNED_TEXT = { iid: 1, text: 2 };
const CLOCKS = { clocks: 1, clockId: 1, timestamp: 2 };
const TYPE = { sliceBegin: 1, sliceEnd: 2, instant: 3, counter: 4 };
/** Numbers of clocks: what packets are timed by unless they say otherwise, and wall time. */
const BOOTTIME = 6;
const REALTIME = 1;
const STATE_CLEARED = 1;
const NEEDS_STATE = 2;
const SEQUENCE = 1;

/** It grows as it must. */
const WRITER_BYTES = 64 * 1024;
/** Names beyond are written out each time. */
const INTERNED_MAX = 50_000;
/** Above what Linux gives to processes, for those that share a number, e.g. on two hosts. */
const MADE_UP_PID = 2 ** 23;

/** Where something happened. */
export interface EventPlace {
  readonly processId: string;
  readonly app: string;
  readonly service: string;
  readonly host: string;
  /** 0 is the main thread. */
  readonly thread: number;
}

export interface PacketSpan extends EventPlace {
  readonly spanId: string;
  readonly parentId: string;
  readonly traceId: string;
  readonly name: string;
  readonly kind: string;
  readonly status: string;
  readonly isAsync: boolean;
  readonly target: string;
  readonly place: string;
  readonly beginNs: bigint;
  readonly endNs: bigint | undefined;
  readonly properties: unknown;
}

export interface PacketLog extends EventPlace {
  readonly timeNs: bigint;
  readonly level: string;
  readonly target: string;
  readonly message: string;
  readonly spanId: string;
  readonly properties: unknown;
}

export interface PacketMeasure extends Omit<EventPlace, "thread"> {
  readonly timeNs: bigint;
  readonly name: string;
  readonly unit: string;
  readonly value: number;
}

interface ProcessTrack {
  readonly uuid: bigint;
  readonly pid: number;
  readonly async: Lanes;
  readonly threads: Map<number, Lanes>;
}

type Annotations = readonly (readonly [name: string, value: string])[];

/** Makes packets. Spans are given in the order of their beginnings; what is given is not kept. */
export class TracePackets {
  readonly #writer = new ProtoWriter(WRITER_BYTES);
  readonly #processes = new Map<string, ProcessTrack>();
  /** Tracks that were described. */
  readonly #described = new Set<bigint>();
  readonly #pidsTaken = new Set<number>();
  #madeUp = MADE_UP_PID;
  readonly #eventNames = new Map<string, number>();
  readonly #annotationNames = new Map<string, number>();
  #isBegun = false;

  /** @param pidOf the number of a process on its host, where it is known */
  constructor(readonly pidOf: (processId: string) => number | undefined) {}

  /** Bytes that wait to be taken. */
  get length(): number {
    return this.#writer.length;
  }

  /** Packets made since the last time; files are made of them, one behind the other. */
  take(): Uint8Array {
    const taken = this.#writer.bytes.slice();
    this.#writer.clear();
    return taken;
  }

  span(span: PacketSpan): void {
    const process = this.#process(span, span.beginNs);
    const track = this.#spanTrack(process, span);
    const annotations: (readonly [string, string])[] = [
      ["trace_id", span.traceId],
      ["span_id", span.spanId],
      ["status", span.status],
      ["target", span.target],
      ["place", span.place],
      ...propertyPairs(span.properties),
    ];
    this.#event(span.beginNs, TYPE.sliceBegin, track, {
      interned: span.name,
      category: span.status === "error" ? "span.error" : "span",
      annotations,
      flow: flowOf(span),
    });
    if (span.endNs !== undefined) this.#event(span.endNs, TYPE.sliceEnd, track, {});
  }

  log(log: PacketLog): void {
    const process = this.#process(log, log.timeNs);
    const track = this.#threadTrack(process, log.thread, 0);
    this.#event(log.timeNs, TYPE.instant, track, {
      name: log.message,
      category: `log.${log.level}`,
      annotations: [
        ["level", log.level],
        ["target", log.target],
        ["span_id", log.spanId],
        ...propertyPairs(log.properties),
      ],
    });
  }

  measure(measure: PacketMeasure): void {
    const process = this.#process(measure, measure.timeNs);
    const { name, unit } = measure;
    const track = uuidOf("counter", process.uuid, name, unit);
    this.#describe(track, (writer) => {
      writer.paddedString(TRACK.name, name).uint64(TRACK.parentUuid, process.uuid);
      writer.paddedMessage(TRACK.counter, (counter) => {
        if (unit !== "") counter.paddedString(COUNTER.unitName, unit);
      });
    });
    this.#event(measure.timeNs, TYPE.counter, track, { value: measure.value });
  }

  #process({ processId, app, service, host }: Omit<EventPlace, "thread">, nowNs: bigint) {
    const known = this.#processes.get(processId);
    if (known !== undefined) return known;
    this.#begin(nowNs);
    const process: ProcessTrack = {
      uuid: uuidOf("process", processId),
      pid: this.#freePid(this.pidOf(processId)),
      async: new Lanes(false),
      threads: new Map(),
    };
    this.#processes.set(processId, process);
    this.#describe(process.uuid, (writer) => {
      writer.paddedMessage(TRACK.process, (descriptor) => {
        descriptor
          .uint(PROCESS.pid, process.pid)
          .paddedString(PROCESS.processName, `${app}/${service}`);
        if (host !== "") descriptor.paddedString(PROCESS.labels, host);
      });
    });
    return process;
  }

  /** Perfetto takes two processes with one number for one. */
  #freePid(pid: number | undefined): number {
    const isFree = pid !== undefined && pid > 0 && pid < MADE_UP_PID && !this.#pidsTaken.has(pid);
    const taken = isFree ? pid : this.#madeUp++;
    this.#pidsTaken.add(taken);
    return taken;
  }

  #spanTrack(process: ProcessTrack, span: PacketSpan): bigint {
    const { spanId, parentId, beginNs, endNs, thread } = span;
    if (span.isAsync) {
      const lane = process.async.place(spanId, parentId, beginNs, endNs);
      const track = uuidOf("async", process.uuid, lane);
      this.#describe(track, (writer) => {
        // Tracks of one name are shown as one.
        writer.paddedString(TRACK.name, "async").uint64(TRACK.parentUuid, process.uuid);
      });
      return track;
    }
    let lanes = process.threads.get(thread);
    if (lanes === undefined) {
      lanes = new Lanes(true);
      process.threads.set(thread, lanes);
    }
    return this.#threadTrack(process, thread, lanes.place(spanId, parentId, beginNs, endNs));
  }

  /** @param lane above 0 for what does not nest, as spans of other libraries may not */
  #threadTrack(process: ProcessTrack, thread: number, lane: number): bigint {
    const track = uuidOf("thread", process.uuid, thread, lane);
    const name = thread === 0 ? "main" : `thread ${thread}`;
    this.#describe(track, (writer) => {
      if (lane > 0) {
        writer.paddedString(TRACK.name, name).uint64(TRACK.parentUuid, process.uuid);
        return;
      }
      writer.paddedMessage(TRACK.thread, (descriptor) => {
        const tid = thread === 0 ? process.pid : this.#madeUp++;
        descriptor.uint(THREAD.pid, process.pid).uint(THREAD.tid, tid);
        descriptor.paddedString(THREAD.threadName, name);
      });
    });
    return track;
  }

  /** Once for each track, before its first event. */
  #describe(uuid: bigint, write: (writer: ProtoWriter) => void): void {
    if (this.#described.has(uuid)) return;
    this.#described.add(uuid);
    this.#packet((packet) => {
      packet.paddedMessage(PACKET.trackDescriptor, (descriptor) => {
        write(descriptor.uint64(TRACK.uuid, uuid));
      });
    });
  }

  #event(
    timeNs: bigint,
    type: number,
    track: bigint,
    event: {
      name?: string;
      interned?: string;
      category?: string;
      annotations?: Annotations;
      value?: number;
      flow?: { field: number; id: bigint } | undefined;
    },
  ): void {
    const annotations = (event.annotations ?? []).filter(([, value]) => value !== "");
    const names: [string, number][] = [];
    const nameIid =
      event.interned === undefined ? 0 : intern(this.#eventNames, event.interned, names);
    const keys: [string, number][] = [];
    const iids = annotations.map(([name]) => intern(this.#annotationNames, name, keys));
    this.#packet((packet) => {
      packet.uint64(PACKET.timestamp, timeNs);
      if (names.length + keys.length > 0) {
        packet.paddedMessage(PACKET.internedData, (interned) => {
          for (const each of names) internedText(interned, INTERNED.eventNames, each);
          for (const each of keys) internedText(interned, INTERNED.annotationNames, each);
        });
      }
      packet.paddedMessage(PACKET.trackEvent, (writer) => {
        writer.uint(EVENT.type, type).uint64(EVENT.trackUuid, track);
        const name = event.name ?? event.interned;
        if (nameIid > 0) writer.uint(EVENT.nameIid, nameIid);
        else if (name !== undefined) writer.paddedString(EVENT.name, name);
        if (event.category !== undefined) writer.paddedString(EVENT.categories, event.category);
        if (event.value !== undefined) writer.double(EVENT.doubleCounterValue, event.value);
        if (event.flow !== undefined) writer.fixed64(event.flow.field, event.flow.id);
        annotations.forEach(([name, value], i) => {
          writer.paddedMessage(EVENT.debugAnnotations, (annotation) => {
            if (iids[i]! > 0) annotation.uint(ANNOTATION.nameIid, iids[i]!);
            else annotation.paddedString(ANNOTATION.name, name);
            annotation.paddedString(ANNOTATION.stringValue, value);
          });
        });
      });
    });
  }

  /** Says once that what follows is told in wall time. */
  #begin(nowNs: bigint): void {
    if (this.#isBegun) return;
    this.#packet((packet) => {
      packet.paddedMessage(PACKET.clockSnapshot, (snapshot) => {
        for (const clock of [BOOTTIME, REALTIME]) {
          snapshot.paddedMessage(CLOCKS.clocks, (writer) => {
            writer.uint(CLOCKS.clockId, clock).uint64(CLOCKS.timestamp, nowNs);
          });
        }
      });
    });
  }

  #packet(write: (packet: ProtoWriter) => void): void {
    this.#writer.paddedMessage(TRACE_PACKET, (packet) => {
      packet.uint(PACKET.sequenceId, SEQUENCE);
      packet.uint(PACKET.sequenceFlags, this.#isBegun ? NEEDS_STATE : STATE_CLEARED);
      this.#isBegun = true;
      write(packet);
    });
  }
}

function internedText(writer: ProtoWriter, field: number, [text, iid]: [string, number]): void {
  writer.paddedMessage(field, (entry) => {
    entry.uint(INTERNED_TEXT.iid, iid).paddedString(INTERNED_TEXT.text, text);
  });
}

/** The number of a text; 0 when there are too many. What is new is added to `added`. */
function intern(table: Map<string, number>, text: string, added: [string, number][]): number {
  const known = table.get(text);
  if (known !== undefined) return known;
  if (table.size >= INTERNED_MAX) return 0;
  const iid = table.size + 1;
  table.set(text, iid);
  added.push([text, iid]);
  return iid;
}

/** Ids of tracks are unique over files, so that two of them can be put behind each other. */
function uuidOf(...parts: readonly (string | number | bigint)[]): bigint {
  return Bun.hash(parts.map(String).join("\0")) as bigint;
}

/** An arrow from who asks to who answers. */
function flowOf(span: PacketSpan): { field: number; id: bigint } | undefined {
  const isAsking = span.kind === "client" || span.kind === "producer";
  const isAnswering = span.kind === "server" || span.kind === "consumer";
  const id = isAsking ? span.spanId : isAnswering ? span.parentId : "";
  if (!/^[0-9a-f]{1,16}$/.test(id)) return undefined;
  return { field: isAsking ? EVENT.flowIds : EVENT.terminatingFlowIds, id: BigInt(`0x${id}`) };
}

function propertyPairs(properties: unknown): (readonly [string, string])[] {
  if (typeof properties !== "object" || properties === null) return [];
  const pairs = Array.isArray(properties)
    ? properties.map((each) => [String(each?.key), each?.value] as const)
    : Object.entries(properties);
  return pairs.map(([key, value]) => [key, typeof value === "string" ? value : String(value)]);
}
