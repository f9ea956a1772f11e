// Writes OTLP's metrics request as protobuf. The points of a metric's series lie encoded in a table, where a snapshot
// only puts its numbers; a request is put together of their bytes. To those of exponential histograms come the buckets,
// of which there are more or less from time to time.
// Field numbers: opentelemetry/proto/{collector/metrics,metrics,resource,common}/v1/*.proto, v1.3.2.

import { ProtoWriter, putVarint, varintBytes } from "../../protobuf/index.ts";
import { toExponential, wholeCount } from "../encoding/exponential.ts";
import {
  type Attributes,
  isAlike,
  isSameMetric,
  longestDescribed,
  type MetricHead,
  NO_RECORDED_VALUE,
  nanoseconds,
  type OtlpForm,
  type Part,
  type Section,
  temporalityOf,
} from "./model.ts";

/** Metric.gauge and so on, and the attributes of their points. */
const DATA_FIELD = { gauge: 5, sum: 7, histogram: 9, exponential: 10 } as const;
const ATTRIBUTES_FIELD = { gauge: 7, sum: 7, histogram: 9, exponential: 1 } as const;
const FLAGS_FIELD = { gauge: 8, sum: 8, histogram: 10, exponential: 10 } as const;

// Fields of points by their tags: a byte each, and eight of the number behind it.
const START = 0x11;
const TIME = 0x19;
/** NumberDataPoint.as_double; count and sum of both kinds of histograms. */
const AS_DOUBLE = 0x21;
const COUNT = 0x21;
const SUM = 0x29;
const ZERO_COUNT = 0x39;
const FIELD_BYTES = 9;
const NO_NUMBER = new Uint8Array(8);

/** A run of a metric's points, or any other piece of a request. */
type Bytes = Uint8Array;

/** Points of a metric's series, one behind the other. */
class PointTable {
  readonly head: MetricHead;
  bytes = new Uint8Array(64);
  view = new DataView(this.bytes.buffer);
  /** Where each point begins; the last is where the next one would. */
  offsets = new Int32Array(3);
  /** Where the fields of each point begin. */
  bodies = new Int32Array(2);
  /** The start that stands in each. */
  startsMs = new Float64Array(2);
  count = 0;
  /** What stands before the points: a metric's name, description and unit. */
  readonly metricHead: Bytes;
  /** Bytes from the begin of the fields: where the time is, and the numbers behind it. */
  readonly timeAt: number;
  readonly numbersAt: number;
  /** Fields that all points have, their numbers still to be put in. */
  readonly fields: Bytes;
  readonly #writer: ProtoWriter;

  /** @param writer for use while a series is taken in */
  constructor(head: MetricHead, writer: ProtoWriter) {
    this.head = head;
    this.#writer = writer;
    const { name, description, unit, kind } = head;
    const w = new ProtoWriter(64 + description.length * 3).string(1, name);
    if (description !== "") w.string(2, description);
    if (unit !== "") w.string(3, unit);
    this.metricHead = w.bytes.slice();
    this.timeAt = kind === "gauge" ? 1 : FIELD_BYTES + 1;
    this.numbersAt = this.timeAt + FIELD_BYTES;
    this.fields = fieldsOf(head);
  }

  append(attributes: Attributes): void {
    const own = this.#writer;
    own.clear();
    writeAttributes(own, ATTRIBUTES_FIELD[this.head.kind], attributes);
    const size = this.fields.length + own.length;
    const index = this.count++;
    const start = this.offsets[index]!;
    const body = start + 1 + varintBytes(size);
    this.#reserve(body + size);
    // dataPoints is field 1 of all kinds of metrics.
    this.bytes[start] = 0x0a;
    putVarint(this.bytes, start + 1, size);
    this.bytes.set(this.fields, body);
    this.bytes.set(own.bytes, body + this.fields.length);
    this.bodies[index] = body;
    this.startsMs[index] = Number.NaN;
    this.offsets[index + 1] = body + size;
  }

  /** The attributes of a point, encoded. */
  attributes(index: number): Bytes {
    return this.bytes.subarray(this.bodies[index]! + this.fields.length, this.offsets[index + 1]);
  }

  #reserve(bytes: number): void {
    if (bytes > this.bytes.length) {
      const grown = new Uint8Array(Math.max(bytes, this.bytes.length * 2));
      grown.set(this.bytes);
      this.bytes = grown;
      this.view = new DataView(grown.buffer);
    }
    if (this.count < this.bodies.length) return;
    const grow = (from: Int32Array) => {
      const grown = new Int32Array(from.length * 2);
      grown.set(from);
      return grown;
    };
    this.offsets = grow(this.offsets);
    this.bodies = grow(this.bodies);
    const starts = new Float64Array(this.bodies.length);
    starts.set(this.startsMs);
    this.startsMs = starts;
  }
}

export class ProtobufForm implements OtlpForm<PointTable> {
  readonly contentType = "application/x-protobuf";
  readonly #scratch = new ProtoWriter(64 << 10);

  table(head: MetricHead): PointTable {
    return new PointTable(head, this.#scratch);
  }

  append(table: PointTable, attributes: Attributes): void {
    table.append(attributes);
  }

  write(part: Part<PointTable>): Uint8Array<ArrayBuffer> {
    const message = new Message();
    const { sections } = part;
    for (let next = 0; next < sections.length; ) {
      const { service, resource } = sections[next]!;
      const whole = new Message();
      whole.field(1, [this.#resource(service, part.app, resource)]);
      while (sections[next]?.service === service) next = this.#scope(part, next, whole);
      message.field(1, whole.pieces, whole.length);
    }
    return message.bytes();
  }

  /** Writes the metrics of the scope that begins with a section. @returns the section that follows them */
  #scope(part: Part<PointTable>, first: number, into: Message): number {
    const { sections } = part;
    const { service, scope } = sections[first]!;
    const scoped = new Message();
    scoped.field(1, [new ProtoWriter(64).string(1, scope.name).string(2, scope.version).bytes]);
    let next = first;
    while (next < sections.length && isAlike(sections[next]!, service, scope)) {
      next = this.#metric(part, next, scoped);
    }
    into.field(2, scoped.pieces, scoped.length);
    return next;
  }

  /** Writes the metric that begins with a section. @returns the section that follows it */
  #metric(part: Part<PointTable>, first: number, into: Message): number {
    const { sections } = part;
    const { head, service, scope } = sections[first]!;
    const data = new Message();
    let next = first;
    for (; next < sections.length; next++) {
      const section = sections[next]!;
      if (!isAlike(section, service, scope) || !isSameMetric(head, section.head)) break;
      data.add(this.#points(section, part));
    }
    const { kind } = head;
    if (kind !== "gauge") data.add(Uint8Array.of(0x10, temporalityOf(head, part.temporality)));
    // is_monotonic
    if (kind === "sum" && head.isMonotonic) data.add(Uint8Array.of(0x18, 1));
    const metric = new Message();
    metric.add(longestDescribed(sections.slice(first, next)).metricHead);
    metric.field(DATA_FIELD[kind], data.pieces, data.length);
    into.field(2, metric.pieces, metric.length);
    return next;
  }

  #points(section: Section<PointTable>, part: Part<PointTable>): Bytes {
    const { kind } = section.head;
    if (section.ended) return this.#ends(section, part.timeMs);
    if (kind === "exponential") return this.#exponentials(section, part);
    putTimes(section, part);
    putNumbers(section, part);
    const { bytes, offsets } = section.table;
    return bytes.subarray(offsets[section.from], offsets[section.to]);
  }

  #ends({ table, head, from, to, startsMs }: Section<PointTable>, timeMs: number): Bytes {
    const w = this.#scratch;
    w.clear();
    for (let i = from; i < to; i++) {
      w.open(1);
      if (head.kind === "exponential") w.raw(table.attributes(i));
      if (head.kind !== "gauge") w.fixed64(2, nanoseconds(startsMs[i]!));
      w.fixed64(3, nanoseconds(timeMs));
      if (head.kind !== "exponential") w.raw(table.attributes(i));
      w.uint(FLAGS_FIELD[head.kind], NO_RECORDED_VALUE).close();
    }
    return w.bytes.slice();
  }

  /** Points whose length differs from time to time: what lies in the table, and the buckets behind it. */
  #exponentials(section: Section<PointTable>, part: Part<PointTable>): Bytes {
    const { table, head, from, to, valueAt } = section;
    if (head.kind !== "exponential") return new Uint8Array();
    const { map } = head;
    putTimes(section, part);
    const { view, bytes, bodies, offsets, numbersAt } = table;
    const w = this.#scratch;
    w.clear();
    for (let i = from; i < to; i++) {
      const at = valueAt[i]!;
      const { count, zeroCount, offset, counts } = toExponential(map, part.values, at);
      const body = bodies[i]!;
      putUint64(view, body + numbersAt, count);
      view.setFloat64(
        body + numbersAt + FIELD_BYTES,
        part.values[at + map.targets.length + 1]!,
        true,
      );
      putUint64(view, body + numbersAt + FIELD_BYTES * 2, zeroCount);
      w.open(1).raw(bytes.subarray(body, offsets[i + 1]));
      w.open(8).sint(1, offset).packedVarints(2, counts).close().close();
    }
    return w.bytes.slice();
  }

  #resource(service: string, app: string, others: Attributes): Bytes {
    const w = new ProtoWriter(256);
    writeAttributes(w, 1, [["service.name", service], ["service.namespace", app], ...others]);
    return w.bytes;
  }
}

/** Puts times and starts into the encoded points of a section. */
function putTimes(section: Section<PointTable>, { timeMs }: Part<PointTable>): void {
  const { table, head, from, to, startsMs } = section;
  const { view, bodies, timeAt } = table;
  const [low, high] = wordsOf(timeMs);
  for (let i = from; i < to; i++) {
    const at = bodies[i]! + timeAt;
    view.setInt32(at, low, true);
    view.setInt32(at + 4, high, true);
  }
  if (head.kind === "gauge") return;
  let startMs = Number.NaN;
  let start: readonly [number, number] = [0, 0];
  for (let i = from; i < to; i++) {
    if (table.startsMs[i] === startsMs[i]) continue;
    if (startsMs[i] !== startMs) {
      startMs = startsMs[i]!;
      start = wordsOf(startMs);
    }
    table.startsMs[i] = startMs;
    const at = bodies[i]! + 1;
    view.setInt32(at, start[0], true);
    view.setInt32(at + 4, start[1], true);
  }
}

/** Puts what was counted or measured into the encoded points of a section. */
function putNumbers(section: Section<PointTable>, { values }: Part<PointTable>): void {
  const { table, head, from, to, valueAt } = section;
  const { view, bodies, numbersAt } = table;
  if (head.kind === "histogram") {
    const buckets = head.bounds.length + 1;
    for (let i = from; i < to; i++) {
      putHistogram(view, bodies[i]! + numbersAt, values, valueAt[i]!, buckets);
    }
    return;
  }
  for (let i = from; i < to; i++) {
    view.setFloat64(bodies[i]! + numbersAt, values[valueAt[i]!]!, true);
  }
}

/** Count, sum and the counts of the buckets; the bounds stand there. */
function putHistogram(
  view: DataView,
  to: number,
  values: Float64Array,
  at: number,
  buckets: number,
): void {
  let place = to + FIELD_BYTES * 2 + varintBytes(buckets * 8);
  let total = 0;
  for (let i = 0; i < buckets; i++, place += 8) {
    const count = wholeCount(values[at + i]!);
    total += count;
    putUint64(view, place, count);
  }
  putUint64(view, to, total);
  view.setFloat64(to + FIELD_BYTES, values[at + buckets]!, true);
}

/** Numbers beyond 31 bits are made words of by a slow call. */
function putUint64(view: DataView, at: number, value: number): void {
  if (value < 2 ** 31) {
    view.setInt32(at, value, true);
    view.setInt32(at + 4, 0, true);
  } else {
    view.setUint32(at, value, true);
    view.setUint32(at + 4, value / 2 ** 32, true);
  }
}

/** A time as two words, signed: numbers beyond 31 bits are made words of by a slow call. */
function wordsOf(ms: number): readonly [low: number, high: number] {
  const ns = nanoseconds(ms);
  return [Number(BigInt.asIntN(32, ns)), Number(BigInt.asIntN(32, ns >> 32n))];
}

const GAUGE_FIELDS = Uint8Array.from([TIME, ...NO_NUMBER, AS_DOUBLE, ...NO_NUMBER]);
const SUM_FIELDS = Uint8Array.from([START, ...NO_NUMBER, ...GAUGE_FIELDS]);

/** The fields of a point that are as long whatever stands in them, but for its attributes. */
function fieldsOf(head: MetricHead): Bytes {
  const number = (tag: number) => [tag, ...NO_NUMBER];
  const start = number(START);
  switch (head.kind) {
    case "gauge":
      return GAUGE_FIELDS;
    case "sum":
      return SUM_FIELDS;
    case "histogram": {
      const { bounds } = head;
      const counts = new ProtoWriter(64 + bounds.length * 16);
      counts.packedFixed64(6, new Float64Array(bounds.length + 1)).packedDoubles(7, bounds);
      return Uint8Array.from([
        ...start,
        ...number(TIME),
        ...number(COUNT),
        ...number(SUM),
        ...counts.bytes,
      ]);
    }
    case "exponential": {
      const rest = new ProtoWriter().sint(6, head.map.scale).double(14, head.map.zeroThreshold);
      return Uint8Array.from([
        ...start,
        ...number(TIME),
        ...number(COUNT),
        ...number(SUM),
        ...number(ZERO_COUNT),
        ...rest.bytes,
      ]);
    }
  }
}

function writeAttributes(w: ProtoWriter, field: number, pairs: Attributes): void {
  for (const [key, value] of pairs) {
    w.open(field).string(1, key).open(2).string(1, value).close().close();
  }
}

/** A message as the pieces that it is made of, which are put together once. */
class Message {
  readonly pieces: Bytes[] = [];
  length = 0;

  add(piece: Bytes): void {
    this.pieces.push(piece);
    this.length += piece.length;
  }

  /** A field that is a message itself. */
  field(number: number, pieces: readonly Bytes[], length = lengthOf(pieces)): void {
    const head = new Uint8Array(1 + varintBytes(length));
    head[0] = (number << 3) | 2;
    putVarint(head, 1, length);
    this.add(head);
    for (const piece of pieces) this.add(piece);
  }

  bytes(): Uint8Array<ArrayBuffer> {
    const bytes = new Uint8Array(this.length);
    let at = 0;
    for (const piece of this.pieces) {
      bytes.set(piece, at);
      at += piece.length;
    }
    return bytes;
  }
}

function lengthOf(pieces: readonly Bytes[]): number {
  return pieces.reduce((sum, { length }) => sum + length, 0);
}
