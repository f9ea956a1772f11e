// Rings of the corpus in memory, written by the client's own code with a clock of our own: what the benches of blocks take.

import { Encoder } from "../../src/client/events/encoder.ts";
import { Interner } from "../../src/client/events/interner.ts";
import { Redaction } from "../../src/client/events/redaction.ts";
import { type RingClock, RingWriter, shapeOf } from "../../src/client/events/ring-writer.ts";
import { TraceIds } from "../../src/client/events/trace-ids.ts";
import {
  DEFINITION,
  Definitions,
  EVENT_FLAGS,
  LEVELS,
  RING_COMPATIBLE,
  RING_VERSION,
  type RingHeader,
  ringGeometry,
  SPAN_KINDS,
} from "../../src/layout/index.ts";
import {
  CORPUS_MEASURES,
  CORPUS_SPANS,
  type CorpusLine,
  CorpusRandom,
  type CorpusScribe,
  recordRequest,
  textOfLine,
} from "./event-corpus.ts";

const TICKS_PER_MS = 2_450_000;
/** Between two stores of a busy service. */
const GAP_NS = { median: 3000, sigma: 1.2 } as const;

export interface RecordedRing {
  header: RingHeader;
  definitions: Definitions;
  words: Uint8Array;
  spans: number;
  measures: number;
  logs: number;
  /** Its lines, as a file would have them. */
  logText: string;
}

/** What is recorded of the corpus: all of it, or one kind alone, so that its bytes can be told. */
export type RecordedKind = "all" | "spans" | "measures" | "logs";

/** So many requests in a ring that holds them. */
export function recordedRing(requests: number, kind: RecordedKind = "all"): RecordedRing {
  const geometry = ringGeometry(2 ** Math.ceil(Math.log2(requests * 2600 + 131_072)));
  const bytes = new Uint8Array(geometry.fileBytes);
  const random = new CorpusRandom();
  let tick = 0;
  const clock = {
    ticksPerMs: TICKS_PER_MS,
    ticks: () => {
      const ns = random.logNormal(GAP_NS.median, GAP_NS.sigma);
      tick += Math.round((ns * TICKS_PER_MS) / 1e6);
      return tick;
    },
    anchor: () => ({
      tick,
      monotonicNs: (tick / TICKS_PER_MS) * 1e6,
      unixMs: 1_796_000_000_000 + tick / TICKS_PER_MS,
    }),
  };
  const header: RingHeader = {
    ...{ version: RING_VERSION, compatible: RING_COMPATIBLE },
    ...geometry,
    ringId: "41c64e6d9a2b7f05",
    app: "shop",
    service: "orders",
    pid: 4711,
    threadId: 0,
    processId: "0123456789abcdef0123456789abcdef",
    processStartUnixMs: 1_795_000_000_000,
    exe: "/usr/local/bin/orders",
    runtime: "bun 1.4.5",
    start: clock.anchor(),
    ticksPerMs: TICKS_PER_MS,
  };
  const memory = { ints: new Int32Array(bytes.buffer), doubles: new Float64Array(bytes.buffer) };
  const writer = new RingWriter(memory, geometry, clock);
  const scribe = new RingScribe(writer, kind, clock);
  // A ring has room for half of itself in spans: the shipper has come as far as the writer.
  const shipped = geometry.shipperOffset / 4;
  const head = geometry.stateOffset / 4;
  for (let i = 0; i < requests; i++) {
    recordRequest(scribe, random);
    memory.ints[shipped] = memory.ints[head]!;
  }
  const end = memory.ints[head]! >>> 0;
  const { definitionsOffset, definitionsBytes, ringOffset } = geometry;
  return {
    header,
    definitions: new Definitions(
      (offset, length) => bytes.subarray(offset, offset + length),
      definitionsOffset,
      definitionsBytes,
    ),
    words: bytes.subarray(ringOffset, ringOffset + end * 8),
    ...scribe.counts,
  };
}

/** Stores what the client's recorder would. */
class RingScribe implements CorpusScribe {
  readonly counts = { spans: 0, measures: 0, logs: 0, logText: "" };
  readonly #writer: RingWriter;
  readonly #kind: RecordedKind;
  readonly #clock: RingClock;
  readonly #interner: Interner;
  readonly #encoder: Encoder;
  readonly #traces = new TraceIds();
  readonly #spans: number[];
  readonly #measures: number[];
  readonly #targets = new Map<string, number>();
  readonly #open: number[] = [];
  #sequence = 0;
  #trace2 = 0;
  #trace3 = 0;

  constructor(writer: RingWriter, kind: RecordedKind, clock: RingClock) {
    this.#clock = clock;
    this.#writer = writer;
    this.#kind = kind;
    const redaction = new Redaction([], undefined);
    this.#interner = new Interner(writer, redaction);
    this.#encoder = new Encoder(redaction, (name) => this.#interner.key(name));
    this.#spans = CORPUS_SPANS.map(({ name, target }, i) =>
      this.#interner.define(DEFINITION.span, name, target, `src/${target}.ts:${17 * i + 5}`),
    );
    this.#measures = CORPUS_MEASURES.map(({ name, unit, target }, i) =>
      this.#interner.define(DEFINITION.measure, name, unit, target, `src/${target}.ts:${i + 90}`),
    );
  }

  begin(span: number): void {
    if (!this.#records("spans")) return;
    if (this.#open.length === 0) {
      this.#trace2 = this.#traces.next();
      this.#trace3 = this.#traces.next();
    }
    const sequence = ++this.#sequence;
    this.#writer.begin(this.#spans[span]!, this.#open.at(-1) ?? 0, {
      sequence,
      depth: this.#open.length,
      shape: shapeOf(SPAN_KINDS.indexOf(CORPUS_SPANS[span]!.kind), 0),
      trace0: this.#traces.high0,
      trace1: this.#traces.high1,
      trace2: this.#trace2,
      trace3: this.#trace3,
    });
    this.#open.push(sequence);
    this.counts.spans++;
  }

  end(isError: boolean): void {
    if (this.#records("spans")) this.#writer.end(this.#open.pop()!, isError ? 1 : 0);
  }

  measure(measure: number, value: number): void {
    if (!this.#records("measures")) return;
    this.#writer.measure(this.#measures[measure]!, value);
    this.counts.measures++;
  }

  log(line: CorpusLine): void {
    if (!this.#records("logs")) return;
    const { level, target, message, properties } = line;
    const id = this.#interner.message(message)?.id ?? 0;
    const targetId = this.#targetOf(target);
    const encoder = this.#encoder.reset();
    if (id === 0) encoder.text(message);
    if (properties !== undefined) encoder.properties(properties);
    const flags = properties === undefined ? 0 : EVENT_FLAGS.properties;
    this.#writer.log(LEVELS.indexOf(level), id, this.#open.at(-1) ?? 0, targetId, encoder, flags);
    this.counts.logs++;
    this.counts.logText += textOfLine(line, this.#clock.anchor().unixMs);
  }

  #targetOf(target: string): number {
    let id = this.#targets.get(target);
    if (id === undefined) {
      id = this.#interner.define(DEFINITION.target, target, "");
      this.#targets.set(target, id);
    }
    return id;
  }

  #records(kind: RecordedKind): boolean {
    if (this.#kind === "all" || this.#kind === kind) return true;
    // It happens all the same.
    this.#clock.ticks();
    return false;
  }
}
