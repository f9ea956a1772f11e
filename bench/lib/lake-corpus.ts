// Hours of the corpus as segments of blocks, as an agent would have sent them: for benchmarks of a lake. As many log lines as
// spans. What rows say comes from a few blocks that are made beforehand; each block on its way has times, spans and traces
// of its own.

import { createHash } from "node:crypto";
import {
  type BlockColumns,
  blankCloses,
  blankLogs,
  blankMeasures,
  blankSpans,
  encodeBlock,
  encodeSegment,
  LEVELS,
  SPAN_KINDS,
  type TextColumn,
} from "../../src/layout/index.ts";
import { CORPUS_SPANS, CorpusRandom, corpusLine, recordRequest } from "./event-corpus.ts";

export const HOUR_NS = 3_600_000_000_000n;
const SPANS_PER_REQUEST = 16;
const SERVICES = ["shop", "cart", "search", "login"];
const STREAMS_PER_SERVICE = 2;
/** Rows of many blocks lie in one row group of a file, and none of these come twice in it. */
const TEMPLATES = 32;
const BLOCKS_PER_SEGMENT = 4;

export interface LakeCorpusOptions {
  /** The first hour, in ns since 1970. */
  startNs: bigint;
  /** Log lines of an hour, and spans as many. */
  rowsPerHour: number;
  /** Of each of both. */
  rowsPerBlock: number;
}

export interface CorpusSegment {
  id: string;
  bytes: Uint8Array;
}

/** What a request's spans are within its block. */
interface Template {
  logs: BlockColumns["logs"];
  spans: BlockColumns["spans"];
  /** Times since the block's begin, in ns. */
  logOffsets: Float64Array;
  beginOffsets: Float64Array;
  endOffsets: Float64Array;
  /** Number of the parent among the block's spans, counted from 1; 0 for none. */
  parents: Uint32Array;
}

const zstd = (bytes: Uint8Array): Uint8Array => Bun.zstdCompressSync(bytes, { level: 1 });

export class LakeCorpus {
  readonly #options: LakeCorpusOptions;
  readonly #templates: readonly Template[];
  readonly #traces = new CorpusRandom(7);
  #blocks = 0;

  constructor(options: LakeCorpusOptions) {
    const { rowsPerHour, rowsPerBlock } = options;
    if (rowsPerHour % rowsPerBlock !== 0 || rowsPerBlock % SPANS_PER_REQUEST !== 0)
      throw new RangeError(`an hour of ${rowsPerHour} rows in blocks of ${rowsPerBlock}`);
    this.#options = options;
    const random = new CorpusRandom();
    const blockNs = Number(HOUR_NS) / (rowsPerHour / rowsPerBlock);
    const templates = Math.min(TEMPLATES, rowsPerHour / rowsPerBlock);
    this.#templates = Array.from({ length: templates }, () =>
      templateOf(rowsPerBlock, blockNs, random),
    );
  }

  /** An hour, and a trace in its midst. */
  hour(hour: number): { segments: CorpusSegment[]; traceId: string } {
    const { rowsPerHour, rowsPerBlock, startNs } = this.#options;
    const perHour = rowsPerHour / rowsPerBlock;
    const blocks: Uint8Array[] = [];
    let traceId = "";
    for (let i = 0; i < perHour; i++) {
      const beginNs = startNs + HOUR_NS * BigInt(hour) + (HOUR_NS / BigInt(perHour)) * BigInt(i);
      const { block, firstTrace } = this.#block(beginNs);
      blocks.push(block);
      if (i === Math.floor(perHour / 2)) traceId = firstTrace;
    }
    const segments: CorpusSegment[] = [];
    for (let at = 0; at < blocks.length; at += BLOCKS_PER_SEGMENT) {
      const bytes = encodeSegment(blocks.slice(at, at + BLOCKS_PER_SEGMENT));
      const id = createHash("sha256").update(`${hour} ${at}`).digest("hex").slice(0, 32);
      segments.push({ id, bytes });
    }
    return { segments, traceId };
  }

  #block(beginNs: bigint): { block: Uint8Array; firstTrace: string } {
    const { startNs, rowsPerBlock } = this.#options;
    const number = this.#blocks++;
    const template = this.#templates[number % this.#templates.length]!;
    const stream = number % (SERVICES.length * STREAMS_PER_SERVICE);
    const service = SERVICES[stream % SERVICES.length]!;
    const processId = createHash("sha256").update(service).digest("hex").slice(0, 32);
    const streamId = createHash("sha256").update(`stream ${stream}`).digest("hex").slice(0, 16);
    const ids = BigInt(`0x${streamId.slice(0, 8)}`) << 32n;
    const first = BigInt(number * rowsPerBlock + 1);
    const traceHigh = BigInt(`0x${processId.slice(0, 16)}`);
    const { logs, spans } = template;
    for (let i = 0; i < rowsPerBlock; i++) {
      const id = ids | (first + BigInt(i));
      logs.timeNs[i] = beginNs + BigInt(template.logOffsets[i]!);
      // A line for each span.
      logs.spanId[i] = id;
      spans.beginNs[i] = beginNs + BigInt(template.beginOffsets[i]!);
      spans.endNs[i] = beginNs + BigInt(template.endOffsets[i]!);
      spans.spanId[i] = id;
      const parent = template.parents[i]!;
      spans.parentId[i] = parent === 0 ? 0n : ids | (first + BigInt(parent - 1));
    }
    for (let i = 0; i < rowsPerBlock; i += SPANS_PER_REQUEST) {
      const [high, low] = [this.#traces.below(2 ** 32), this.#traces.below(2 ** 32)];
      const traceLow = (BigInt(high) << 32n) | BigInt(low);
      spans.traceHigh.fill(traceHigh, i, i + SPANS_PER_REQUEST);
      spans.traceLow.fill(traceLow, i, i + SPANS_PER_REQUEST);
    }
    const block = encodeBlock(
      {
        first: number * 1_000_000,
        end: (number + 1) * 1_000_000,
        isFinal: false,
        stream: {
          streamId,
          threadId: Math.floor(stream / SERVICES.length),
          startNs: String(startNs),
        },
        process: {
          ...{ processId, app: "bench", service, pid: 1000 + (stream % SERVICES.length) },
          ...{ startNs: String(startNs), host: "node-1", user: "bench", exe: "/usr/bin/bun" },
          runtime: "bun 1.4.5",
        },
      },
      {
        ...{ logs, spans, measures: blankMeasures(), opens: blankSpans(), closes: blankCloses() },
      },
      zstd,
    );
    return { block, firstTrace: hex(spans.traceHigh[0]!) + hex(spans.traceLow[0]!) };
  }
}

function templateOf(rows: number, blockNs: number, random: CorpusRandom): Template {
  const logs = blankLogs(rows);
  const [targets, messages, properties] = [new Texts(), new Texts(), new Texts()];
  for (let i = 0; i < rows; i++) {
    const line = corpusLine(random);
    logs.level[i] = LEVELS.indexOf(line.level);
    logs.target.index[i] = targets.add(line.target);
    logs.message.index[i] = messages.add(line.message);
    const text = line.properties === undefined ? "" : JSON.stringify(line.properties);
    logs.properties.index[i] = properties.add(text);
  }
  logs.target = { ...logs.target, texts: targets.all };
  logs.message = { ...logs.message, texts: messages.all };
  logs.properties = { ...logs.properties, texts: properties.all };
  const requests = rows / SPANS_PER_REQUEST;
  const logOffsets = new Float64Array(rows);
  const beginOffsets = new Float64Array(rows);
  const endOffsets = new Float64Array(rows);
  const parents = new Uint32Array(rows);
  const spans = blankSpans(rows);
  const [names, spanTargets] = [new Texts(), new Texts()];
  let at = 0;
  for (let request = 0; request < requests; request++) {
    let now = Math.floor((blockNs * (request + 0.1 + 0.5 * random.next())) / requests);
    const tick = () => {
      now += Math.round(random.logNormal(20_000, 1.2));
      return now;
    };
    const open: number[] = [];
    recordRequest(
      {
        begin(span) {
          const { name, target, kind } = CORPUS_SPANS[span]!;
          beginOffsets[at] = tick();
          logOffsets[at] = now + 1_000;
          parents[at] = (open.at(-1) ?? -1) + 1;
          spans.depth[at] = open.length;
          spans.kind[at] = SPAN_KINDS.indexOf(kind);
          spans.name.index[at] = names.add(name);
          spans.target.index[at] = spanTargets.add(target);
          open.push(at++);
        },
        end(isError) {
          const span = open.pop()!;
          endOffsets[span] = tick();
          spans.status[span] = isError ? 1 : 0;
        },
        measure() {},
        log() {},
      },
      random,
    );
  }
  spans.name = { ...spans.name, texts: names.all };
  spans.target = { ...spans.target, texts: spanTargets.all };
  return { logs, spans, logOffsets, beginOffsets, endOffsets, parents };
}

class Texts {
  readonly #numbers = new Map<string, number>();
  readonly all: TextColumn["texts"][number][] = [];

  add(text: string): number {
    let number = this.#numbers.get(text);
    if (number === undefined) {
      number = this.all.push(text) - 1;
      this.#numbers.set(text, number);
    }
    return number;
  }
}

function hex(id: bigint): string {
  return id.toString(16).padStart(16, "0");
}
