// The table as lines of text, for a terminal of a given size or for a file. Pure: the same model gives the same lines.

import {
  cutApart,
  cutText,
  fitLeft,
  fitRight,
  formatQuantity,
  formatSeconds,
  PLAIN,
  printable,
  type Style,
  textWidth,
} from "../../text/index.ts";
import type { Row } from "../rows.ts";
import { clockTime } from "../text/time.ts";
import type { Course, PlacedRow, PoolModel, TableModel } from "./model.ts";
import { sparkline } from "./sparkline.ts";

/** What lines are made for. */
export interface ViewOptions {
  style: Style;
  /** Columns of the terminal; without it lines are as long as they have to be, and have no sparklines. */
  columns?: number;
  /** Lines of the terminal; without it every series has its line. */
  rows?: number;
  /** Series above the first one shown. */
  scroll?: number;
  intervalMs?: number;
  /** Of agents that cannot be read. */
  troubles?: readonly string[];
  nowMs: number;
}

const NUMBER_COLUMNS = 12;
const QUANTILE_COLUMNS = 10;
const TREND_COLUMNS = 30;
const SERVICE_COLUMNS_MAX = 32;
const NAME_COLUMNS_MIN = 16;
const GAP_LOUD_FOR_MS = 30_000;

/** Lines of a view that are not series: two of the head, a gap, the titles, the line of those not shown. */
export function roomForRows(rows: number): number {
  return Math.max(1, rows - 5);
}

/** The whole view. */
export function tableLines(model: TableModel, options: ViewOptions): string[] {
  const all = model.rows();
  const room = options.rows === undefined ? all.length : roomForRows(options.rows);
  const first = Math.max(0, Math.min(options.scroll ?? 0, all.length - room));
  const shown = all.slice(first, first + room);
  const lines = [
    ...headLines(model, all.length, options),
    ...seriesLines(model, shown, options),
    ...restLines(first, all.length - first - shown.length, options),
  ];
  return options.rows === undefined ? lines : lines.slice(0, options.rows);
}

function headLines(model: TableModel, series: number, options: ViewOptions): string[] {
  const { style, intervalMs, nowMs } = options;
  const pools = [...model.pools.values()];
  const sources = [...new Set(pools.map(({ source }) => source))].map(printable);
  const apps = [...new Set(pools.map(({ app }) => app))].map(printable);
  const { p50, p99 } = model.lateness();
  const lines = [
    [
      listed(sources, "agents"),
      listed(apps, "applications"),
      `${series} series`,
      ...(intervalMs === undefined ? [] : [`every ${milliseconds(intervalMs)}`]),
      ...(model.snapshots === 0 ? ["waiting for the first read"] : [clockTime(model.takenAtMs)]),
    ].join(" · "),
  ].map((line) => style.bold(cut(`microview · ${line}`, options)));

  const going = `read in ${milliseconds(model.readMs)} · late p50 ${milliseconds(p50)} p99 ${milliseconds(p99)}`;
  const missed = `missed ${model.missed} of ${model.snapshots + model.missed}`;
  const gaps = `gaps ${model.gaps}`;
  const plain = `${going} · ${missed} · ${gaps}`;
  const fits = options.columns === undefined || textWidth(plain) <= options.columns;
  lines.push(
    fits
      ? `${style.dim(`${going} · `)}${loud(missed, model.missed, nowMs - model.lastMissedAtMs, style)}${style.dim(" · ")}${loud(gaps, model.gaps, nowMs - (model.lastGap?.atMs ?? 0), style)}`
      : style.dim(cut(plain, options)),
  );
  const alarm = alarmOf(model, pools, options) ?? options.troubles?.map(printable)[0];
  if (alarm !== undefined) lines.push(style.bold(style.red(cut(alarm, options))));
  return lines;
}

/** What happened lately is bold and red, what happened at all is yellow. */
function loud(text: string, count: number, agoMs: number, style: Style): string {
  if (count === 0) return style.dim(text);
  return agoMs < GAP_LOUD_FOR_MS ? style.bold(style.red(text)) : style.yellow(text);
}

function alarmOf(
  { lastGap }: TableModel,
  pools: readonly PoolModel[],
  { intervalMs = 1000, nowMs }: ViewOptions,
): string | undefined {
  const silentMs = (pool: PoolModel) => nowMs - pool.writtenAtMs;
  const silent = pools.filter((pool) => silentMs(pool) > Math.max(2000, 3 * intervalMs));
  if (silent.length > 0) {
    const pool = silent[0]!;
    const more = silent.length > 1 ? ` and ${silent.length - 1} more` : "";
    const seconds = Math.floor(silentMs(pool) / 1000);
    return `SILENT ${printable(pool.app)} of ${printable(pool.source)}${more}: nothing was read for ${seconds} s`;
  }
  if (lastGap === undefined || nowMs - lastGap.atMs > GAP_LOUD_FOR_MS) return undefined;
  const { app, source, reason, atMs } = lastGap;
  return `GAP before ${clockTime(atMs)} in ${printable(app)} of ${printable(source)}: ${printable(reason)}`;
}

interface Cells {
  service: string;
  name: string;
  value: string;
  rate: string;
  p50: string;
  p99: string;
  trend: string;
  kind: string;
}

function seriesLines(
  model: TableModel,
  shown: readonly PlacedRow[],
  options: ViewOptions,
): string[] {
  const { style, columns } = options;
  if (shown.length === 0) {
    if (model.snapshots === 0) return [];
    return [
      style.yellow(
        cut("no series matches: nothing is registered yet, or the globs fit nothing", options),
      ),
    ];
  }
  const pools = [...model.pools.values()];
  const manyApps = new Set(pools.map(({ app }) => app)).size > 1;
  const manySources = new Set(pools.map(({ source }) => source)).size > 1;
  const where = ({ pool, row }: PlacedRow): string => {
    const source = manySources ? `${printable(pool.source)} ` : "";
    return `${source}${manyApps ? `${printable(pool.app)}/` : ""}${row.part.service}`;
  };
  const cells = shown.map((placed) => cellsOf(placed, where(placed), columns !== undefined));
  const widths = widthsFor(cells, columns);
  const title = lineOf(
    {
      service: manyApps ? "app/service" : "service",
      name: "metric",
      value: "value",
      rate: "rate",
      p50: "p50",
      p99: "p99",
      trend: "trend",
      kind: "",
    },
    widths,
    PLAIN,
  );
  const names = distinctNames(cells, widths.name);
  const lines = cells.map((each, i) => lineOf({ ...each, name: names[i]! }, widths, style));
  return [style.dim(title), ...lines];
}

/** Names as they fit into their column, those of each service told apart. */
function distinctNames(cells: readonly Cells[], columns: number): string[] {
  const names: string[] = [];
  for (const rows of Map.groupBy(cells.keys(), (i) => cells[i]!.service).values()) {
    const cut = cutApart(
      rows.map((i) => cells[i]!.name),
      columns,
    );
    rows.forEach((i, which) => {
      names[i] = cut[which]!;
    });
  }
  return names;
}

function cellsOf({ pool, row }: PlacedRow, service: string, withTrend: boolean): Cells {
  const { value, rate, isReset, p50, p99 } = pool.read(row);
  const { kind, unit } = row.metric.definition;
  const isHistogram = row.histogram !== undefined;
  const rateText = formatQuantity(rate, isHistogram ? "" : unit);
  return {
    service,
    name: row.part.name,
    value: Number.isNaN(value) ? "–" : formatQuantity(value, isHistogram ? "" : unit),
    rate: isReset ? "reset" : rateText === "" ? "" : `${rateText}/s`,
    p50: isHistogram ? formatQuantity(p50, unit) || "–" : "",
    p99: isHistogram ? formatQuantity(p99, unit) || "–" : "",
    trend: withTrend ? trendOf(pool, row) : "",
    kind,
  };
}

function trendOf(pool: PoolModel, row: Row<Course>): string {
  return sparkline(pool.courseOf(row), row.metric.definition.kind !== "gauge");
}

interface Widths {
  service: number;
  name: number;
  value: number;
  rate: number;
  quantile: number;
  trend: number;
}

/** What matters most keeps its room: names, then values and rates, then quantiles, then the trend. */
function widthsFor(cells: readonly Cells[], columns: number | undefined): Widths {
  const widest = (pick: (cells: Cells) => string, least: number) =>
    cells.reduce((most, each) => Math.max(most, textWidth(pick(each))), least);
  const hasQuantiles = cells.some(({ p50 }) => p50 !== "");
  const wish: Widths = {
    service: widest(({ service }) => service, 7),
    name: widest(({ name }) => name, 6),
    value: widest(({ value }) => value, NUMBER_COLUMNS),
    rate: widest(({ rate }) => rate, NUMBER_COLUMNS),
    quantile: hasQuantiles
      ? widest(({ p50, p99 }) => (p50.length > p99.length ? p50 : p99), QUANTILE_COLUMNS)
      : 0,
    trend: 0,
  };
  if (columns === undefined) return wish;
  wish.service = Math.min(wish.service, SERVICE_COLUMNS_MAX, Math.max(7, Math.floor(columns / 4)));
  wish.value = Math.min(wish.value, NUMBER_COLUMNS + 4);
  wish.rate = Math.min(wish.rate, NUMBER_COLUMNS + 4);
  const left = () => columns - totalOf({ ...wish, name: Math.min(wish.name, NAME_COLUMNS_MIN) });
  if (left() < 0) wish.quantile = 0;
  if (left() < 0) wish.rate = 0;
  wish.name = Math.max(1, Math.min(wish.name, columns - totalOf({ ...wish, name: 0 }) - 2));
  const forTrend = columns - totalOf(wish) - 2;
  wish.trend = forTrend >= 5 ? Math.min(TREND_COLUMNS, forTrend) : 0;
  return wish;
}

function totalOf({ service, name, value, rate, quantile, trend }: Widths): number {
  const columns = [service, name, value, rate, quantile, quantile, trend].filter(
    (width) => width > 0,
  );
  return columns.reduce((sum, width) => sum + width, 0) + 2 * (columns.length - 1);
}

function lineOf(cells: Cells, widths: Widths, style: Style): string {
  const parts = [
    style.dim(fitLeft(cells.service, widths.service)),
    fitLeft(cells.name, widths.name),
    style.bold(fitRight(cells.value, widths.value)),
  ];
  if (widths.rate > 0) parts.push(fitRight(cells.rate, widths.rate));
  if (widths.quantile > 0) {
    parts.push(fitRight(cells.p50, widths.quantile), fitRight(cells.p99, widths.quantile));
  }
  if (widths.trend > 0) {
    // The newest is at the right, where it stays.
    const text = cells.kind === "" ? cells.trend : [...cells.trend].slice(-widths.trend).join("");
    parts.push(style.cyan(fitRight(text, widths.trend)));
  }
  return parts.join("  ").trimEnd();
}

function restLines(above: number, below: number, options: ViewOptions): string[] {
  if (options.rows === undefined || above + below === 0) return [];
  const where = above > 0 ? ` (${above} above)` : "";
  const line = `… ${above + below} more${where} (use --metric, or ↑ ↓)`;
  return [options.style.yellow(cut(line, options))];
}

function listed(names: readonly string[], many: string): string {
  if (names.length === 0) return `no ${many}`;
  return names.length <= 3 ? names.join(", ") : `${names.length} ${many}`;
}

function milliseconds(ms: number): string {
  return Number.isNaN(ms) ? "–" : formatSeconds(ms / 1000);
}

function cut(line: string, { columns }: Pick<ViewOptions, "columns">): string {
  return columns === undefined ? line : cutText(line, columns);
}
