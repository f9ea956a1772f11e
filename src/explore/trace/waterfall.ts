// A trace as a waterfall: a line per span with a bar at its time, logs in between. Pure: the same trace gives the same
// lines. Names and messages come from services and may be anything.

import {
  counted,
  cutText,
  fitLeft,
  fitRight,
  formatSeconds,
  printable,
  type Style,
  textWidth,
} from "../../text/index.ts";
import { cellOf } from "../output/cell-text.ts";
import { isoTime } from "./iso-time.ts";
import { extentOf, isNode, type SpanNode, type Trace, type TraceLog, treeOf } from "./trace.ts";

export interface WaterfallOptions {
  readonly style: Style;
  /** Of the terminal. */
  readonly columns: number;
}

const GAP = "  ";
const SERVICE_WIDTH_MAX = 16;
const DURATION_WIDTH = 9;
const BAR_WIDTH_MIN = 10;
const COLUMNS_MIN = 50;
/** Deeper spans are not shifted any more. */
const DEPTH_MAX = 16;

export function waterfallLines(trace: Trace, options: WaterfallOptions): string[] {
  const columns = Math.max(COLUMNS_MIN, options.columns);
  const roots = treeOf(trace);
  const drawing = new Drawing(trace, roots, { ...options, columns });
  const lines: string[] = [];
  const open: (SpanNode | TraceLog)[] = roots.toReversed();
  const depths = new Map<TraceLog, number>();
  for (let item = open.pop(); item !== undefined; item = open.pop()) {
    if (!isNode(item)) {
      lines.push(drawing.log(item, depths.get(item) ?? 0));
      continue;
    }
    lines.push(drawing.span(item));
    for (const below of item.below) if (!isNode(below)) depths.set(below, item.depth + 1);
    open.push(...item.below.toReversed());
  }
  return [...headLines(trace, roots, { ...options, columns }), ...lines];
}

function headLines(
  trace: Trace,
  roots: readonly SpanNode[],
  { style, columns }: WaterfallOptions,
): string[] {
  const { spans, logs, isCut } = trace;
  const { beginNs, endNs } = extentOf(trace);
  const services = new Set(spans.map(({ service }) => service)).size;
  const troubles = (["error", "lost", "open"] as const).flatMap((status) => {
    const many = spans.filter((span) => span.status === status).length;
    if (many === 0) return [];
    return status === "error"
      ? style.red(counted(many, "error"))
      : style.yellow(`${many} ${status}`);
  });
  const parts = [
    formatSeconds(Number(endNs - beginNs) / 1e9),
    `${counted(spans.length, "span")} of ${counted(services, "service")}`,
    ...(logs.length === 0 ? [] : [counted(logs.length, "log")]),
    ...troubles,
    isoTime(beginNs),
  ];
  const title = `trace ${printable(trace.traceId)}`;
  const name = cutText(printable(roots[0]?.span.name ?? ""), columns - textWidth(title) - 1);
  return [
    `${style.bold(title)} ${name}`.trimEnd(),
    parts.join(style.dim(" · ")),
    ...(isCut ? [style.yellow("there is more of it than is shown")] : []),
    "",
  ];
}

class Drawing {
  readonly #beginNs: bigint;
  readonly #lengthNs: number;
  readonly #serviceWidth: number;
  readonly #labelWidth: number;
  readonly #barWidth: number;
  readonly #hasStatus: boolean;
  readonly #colours = new Map<string, (text: string) => string>();

  constructor(
    trace: Trace,
    roots: readonly SpanNode[],
    readonly options: WaterfallOptions,
  ) {
    const { beginNs, endNs } = extentOf(trace);
    const { columns, style } = options;
    this.#beginNs = beginNs;
    this.#lengthNs = Math.max(1, Number(endNs - beginNs));
    const palette = [style.cyan, style.magenta, style.blue, style.green];
    for (const { service } of trace.spans) {
      if (this.#colours.has(service)) continue;
      this.#colours.set(service, palette[this.#colours.size % palette.length]!);
    }
    const widest = Math.max(...trace.spans.map(({ service }) => textWidth(printable(service))), 1);
    this.#serviceWidth = Math.min(widest, SERVICE_WIDTH_MAX);
    this.#hasStatus = trace.spans.some(({ status }) => status === "error");
    const status = this.#hasStatus ? GAP.length + "error".length : 0;
    const room = columns - this.#serviceWidth - DURATION_WIDTH - status - 3 * GAP.length;
    const wanted = Math.max(...labelWidths(roots), 8);
    this.#labelWidth = Math.min(wanted, Math.floor(room / 2), room - BAR_WIDTH_MIN);
    this.#barWidth = room - this.#labelWidth;
  }

  span({ span, depth }: SpanNode): string {
    const { style } = this.options;
    const isError = span.status === "error";
    const colour = isError ? style.red : (this.#colours.get(span.service) ?? style.cyan);
    const label = fitLeft(indent(depth) + printable(span.name), this.#labelWidth);
    const took =
      span.endNs === undefined
        ? style.yellow(fitRight(printable(span.status), DURATION_WIDTH))
        : fitRight(formatSeconds(Number(span.endNs - span.beginNs) / 1e9), DURATION_WIDTH);
    const parts = [
      colour(fitLeft(printable(span.service), this.#serviceWidth)),
      isError ? style.red(label) : label,
      colour(this.#bar(span.beginNs, span.endNs)),
      took,
      ...(isError ? [style.red("error")] : []),
    ];
    return parts.join(GAP);
  }

  /** Indented below its span; what it says may take the room of the bars. */
  log(log: TraceLog, depth: number): string {
    const { style } = this.options;
    const width = this.#labelWidth + GAP.length + this.#barWidth;
    const level = fitLeft(printable(log.level).toUpperCase(), 5);
    const lead = `${indent(depth)}· ${level} `;
    const properties = cellOf(log.properties);
    const shown =
      properties.kind === "null" || properties.text === "{}" ? "" : ` ${properties.text}`;
    const text = fitLeft(lead + printable(log.message) + shown, width);
    const at = fitRight(
      `+${formatSeconds(Number(log.timeNs - this.#beginNs) / 1e9)}`,
      DURATION_WIDTH,
    );
    const coloured = levelStyle(log.level, style);
    const head = text.slice(0, lead.length);
    const service = " ".repeat(this.#serviceWidth);
    return `${service}${GAP}${coloured(head)}${text.slice(lead.length)}${GAP}${style.dim(at)}`;
  }

  /** In halves of a column. What has no end is dotted to the end of the trace. */
  #bar(beginNs: bigint, endNs: bigint | undefined): string {
    const halves = 2 * this.#barWidth;
    const place = (ns: bigint) => (Number(ns - this.#beginNs) / this.#lengthNs) * halves;
    const begin = Math.min(halves - 1, Math.max(0, Math.floor(place(beginNs))));
    const end = Math.min(
      halves,
      Math.max(begin + 1, endNs === undefined ? halves : Math.round(place(endNs))),
    );
    let bar = "";
    for (let column = 0; column < this.#barWidth; column++) {
      const [left, right] = [2 * column, 2 * column + 1].map((half) => half >= begin && half < end);
      if (endNs === undefined) bar += left || right ? "┄" : " ";
      else bar += left && right ? "█" : left ? "▌" : right ? "▐" : " ";
    }
    return bar;
  }
}

function labelWidths(roots: readonly SpanNode[]): number[] {
  const widths: number[] = [];
  const open = [...roots];
  for (let node = open.pop(); node !== undefined; node = open.pop()) {
    widths.push(indent(node.depth).length + textWidth(printable(node.span.name)));
    open.push(...node.below.filter(isNode));
  }
  return widths;
}

function indent(depth: number): string {
  return "  ".repeat(Math.min(depth, DEPTH_MAX));
}

function levelStyle(level: string, style: Style): (text: string) => string {
  if (level === "error" || level === "fatal") return style.red;
  if (level === "warn") return style.yellow;
  return level === "info" ? style.green : style.dim;
}
