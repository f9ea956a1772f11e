// A trace: its spans as a tree, with the logs that were written within them. Rows come from a lake, which may have lost
// some of them: a parent that is not there, or that is its own grandchild, breaks nothing.

export interface TraceSpan {
  readonly spanId: string;
  /** "" for the first of its trace. */
  readonly parentId: string;
  readonly app: string;
  readonly service: string;
  readonly host: string;
  readonly processId: string;
  readonly streamId: string;
  readonly name: string;
  readonly kind: string;
  /** `ok`, `error`, `lost` when its process died, `open` while it goes on. */
  readonly status: string;
  readonly target: string;
  readonly place: string;
  readonly beginNs: bigint;
  /** Undefined for what is lost or open. */
  readonly endNs: bigint | undefined;
  readonly properties: unknown;
}

export interface TraceLog {
  readonly timeNs: bigint;
  readonly spanId: string;
  readonly service: string;
  readonly level: string;
  readonly target: string;
  readonly message: string;
  readonly properties: unknown;
}

export interface Trace {
  readonly traceId: string;
  readonly spans: readonly TraceSpan[];
  readonly logs: readonly TraceLog[];
  /** There are more spans or logs than were fetched. */
  readonly isCut: boolean;
}

/** A span with what belongs below it. */
export interface SpanNode {
  readonly span: TraceSpan;
  readonly depth: number;
  /** Spans and logs in the order of their times. */
  readonly below: readonly (SpanNode | TraceLog)[];
}

export function isNode(item: SpanNode | TraceLog): item is SpanNode {
  return "span" in item;
}

/** The time that a trace takes, as far as it is known. */
export function extentOf({ spans, logs }: Trace): { beginNs: bigint; endNs: bigint } {
  let [beginNs, endNs] = [spans[0]?.beginNs ?? 0n, spans[0]?.beginNs ?? 0n];
  for (const span of spans) {
    if (span.beginNs < beginNs) beginNs = span.beginNs;
    const end = span.endNs ?? span.beginNs;
    if (end > endNs) endNs = end;
  }
  // What a span that was lost had logged tells that it lived then.
  for (const { timeNs } of logs) if (timeNs > endNs) endNs = timeNs;
  return { beginNs, endNs };
}

/** The spans that have no parent here, with all that is below them. */
export function treeOf({ spans, logs }: Trace): SpanNode[] {
  const bySpan = new Map(spans.map((span) => [span.spanId, span]));
  const children = Map.groupBy(spans, ({ parentId }) => parentId);
  const logsOf = Map.groupBy(logs, ({ spanId }) => spanId);
  const placed = new Set<TraceSpan>();
  const roots: SpanNode[] = [];
  const place = (span: TraceSpan) => {
    if (!placed.has(span)) roots.push(nodeOf(span, 0, { children, logsOf, placed }));
  };
  for (const span of spans) if (!bySpan.has(span.parentId)) place(span);
  // Those in a circle, from the earliest on.
  for (const span of [...spans].sort(byBegin)) place(span);
  return roots.sort((a, b) => byBegin(a.span, b.span));
}

interface Placing {
  readonly children: ReadonlyMap<string, readonly TraceSpan[]>;
  readonly logsOf: ReadonlyMap<string, readonly TraceLog[]>;
  readonly placed: Set<TraceSpan>;
}

/** Without recursion, as a chain of spans may be longer than a stack. */
function nodeOf(root: TraceSpan, rootDepth: number, placing: Placing): SpanNode {
  const { children, logsOf, placed } = placing;
  const make = (span: TraceSpan, depth: number) => {
    placed.add(span);
    return { span, depth, below: [...(logsOf.get(span.spanId) ?? [])] as (SpanNode | TraceLog)[] };
  };
  const first = make(root, rootDepth);
  const open = [first];
  for (let node = open.pop(); node !== undefined; node = open.pop()) {
    for (const child of children.get(node.span.spanId) ?? []) {
      if (placed.has(child)) continue;
      const next = make(child, node.depth + 1);
      node.below.push(next);
      open.push(next);
    }
    node.below.sort(byTime);
  }
  return first;
}

function byBegin(a: TraceSpan, b: TraceSpan): number {
  return compare(a.beginNs, b.beginNs) || (a.spanId < b.spanId ? -1 : 1);
}

function byTime(a: SpanNode | TraceLog, b: SpanNode | TraceLog): number {
  return compare(timeOf(a), timeOf(b));
}

function timeOf(item: SpanNode | TraceLog): bigint {
  return isNode(item) ? item.span.beginNs : item.timeNs;
}

function compare(a: bigint, b: bigint): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
