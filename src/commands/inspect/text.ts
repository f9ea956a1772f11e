// Pools as a person reads them.

import type {
  MetricReport,
  PoolReport,
  ProcessReport,
  SeriesReport,
  ServiceReport,
  WriterReport,
} from "../../inspector/index.ts";
import { CONTAINER_ID_SHOWN } from "../../layout/index.ts";
import {
  counted,
  fitLeft,
  formatBytes,
  formatCount,
  formatQuantity,
  labelsText,
  printable,
  printableLines,
  type Style,
  textWidth,
} from "../../text/index.ts";

const NAME_COLUMNS_MAX = 72;
const DAMAGE_SHOWN = 10;

/** One pool: its head, then its services with their writers and metrics. */
export function poolLines(pool: PoolReport, style: Style): string[] {
  const { agent, pages, directory } = pool;
  const keeper = agent.alive
    ? `${style.green("alive")}, pid ${agent.pid}`
    : `${style.yellow("none")}${agent.pid > 0 ? ` (the last one had pid ${agent.pid})` : ""}`;
  const used = `${pages.used} of ${pages.capacity} in use`;
  return [
    `${style.bold(printable(pool.app))}  ${style.dim(printable(pool.path))}`,
    `  agent   ${keeper} · layout ${pool.layoutVersion} · generation ${pool.generation} · created ${dateText(pool.createdAtMs)}`,
    `  pages   ${used} · directory ${formatBytes(directory.bytes)} of ${formatBytes(directory.capacityBytes)} · ${formatBytes(pool.memoryBytes)} of memory`,
    ...warningLines(pool, style),
    ...pool.services.flatMap((service) => ["", ...serviceLines(service, style)]),
    ...(pool.services.length === 0 ? ["", style.dim("  no services")] : []),
  ];
}

/** A file that cannot be read as a pool. */
export function unreadableLines(app: string, path: string, reason: string, style: Style): string[] {
  return [
    `${style.bold(printable(app))}  ${style.dim(printable(path))}`,
    `  ${style.red("cannot be read:")} ${printableLines(reason)}`,
  ];
}

export function warningLines(
  { consistency, skipped, damage, damageCount }: PoolReport,
  style: Style,
): string[] {
  const lines: string[] = [];
  if (skipped !== undefined) lines.push(style.yellow(`  ${skipped}`));
  if (consistency === "interrupted") {
    lines.push(
      style.yellow(
        "  its agent died while it changed the structure: this may be half of a change.",
      ),
      style.yellow("  A new agent finishes it; no count is lost."),
    );
  }
  if (consistency === "changing") {
    lines.push(
      style.yellow(
        "  its agent kept changing the structure: this may be of two moments. Try again.",
      ),
    );
  }
  for (const { offset, reason } of damage.slice(0, DAMAGE_SHOWN)) {
    lines.push(
      `  ${style.red(`damaged at byte ${offset} (0x${offset.toString(16)}):`)} ${printableLines(reason)}`,
    );
  }
  if (damageCount > DAMAGE_SHOWN) {
    lines.push(style.red(`  and ${counted(damageCount - DAMAGE_SHOWN, "more damaged place")}`));
  }
  return lines;
}

function serviceLines(
  { name, writers, processes, metrics }: ServiceReport,
  style: Style,
): string[] {
  const named = metrics.flatMap((metric) =>
    metric.series.map((series) => ({
      metric,
      series,
      name: metric.name + labelsText(metric.labelNames, series.labelValues),
    })),
  );
  const width = Math.min(
    NAME_COLUMNS_MAX,
    named.reduce((most, each) => Math.max(most, textWidth(each.name)), 0),
  );
  return [
    `  ${style.bold(printable(name))}`,
    ...processes.flatMap((process) => processLines(process, style)),
    ...writers.map((writer) => `    ${writerLine(writer, style)}`),
    ...(named.length === 0 ? [style.dim("    no series")] : []),
    ...named.map(({ metric, series, name }) => {
      const kind = style.dim(fitLeft(metric.kind, 9));
      // A name that is too long pushes its value to the right: here nothing is cut.
      const padded = textWidth(name) > width ? name : fitLeft(name, width);
      return `    ${kind}  ${padded}  ${valueText(metric, series, style)}`;
    }),
  ];
}

/** Where a process lives; nothing for one that is in no container and no unit. */
function processLines({ pid, hostPid, identity }: ProcessReport, style: Style): string[] {
  const { runtime, containerId, containerName, podUid, podName, namespace, nodeName } = identity;
  const { workloadKind, workloadName, workloadGuessed, unit } = identity;
  const id = style.dim(printable(containerId.slice(0, CONTAINER_ID_SHOWN)));
  const inside = hostPid !== null && hostPid !== pid;
  const parts = [
    containerId === "" && containerName === ""
      ? ""
      : `container ${[containerName && style.bold(printable(containerName)), id].filter((part) => part !== "").join(" ")} (${printable(runtime)})`,
    podName !== "" ? `pod ${style.bold(printable(`${namespace}/${podName}`))}` : "",
    podName === "" && podUid !== "" ? `pod ${printable(podUid)}` : "",
    nodeName === "" ? "" : `node ${printable(nodeName)}`,
    workloadName === ""
      ? ""
      : `${printable(workloadKind)} ${printable(workloadName)}${workloadGuessed ? style.dim(" (by its name)") : ""}`,
    unit === "" ? "" : `unit ${printable(unit)}`,
  ].filter((part) => part !== "");
  if (parts.length === 0 && !inside) return [];
  const numbers = inside ? `process ${pid}, ${hostPid} on this host` : `process ${pid}`;
  return [`    ${[numbers, ...parts].join(" · ")}`];
}

function writerLine(writer: WriterReport, style: Style): string {
  const { id, life, pid, threadId, startedAtMs, grants, series } = writer;
  const pages = grants.map(({ page, pages: count, slot, slots }) => {
    if (slots > 0) return `page ${page} slots ${slot}–${slot + slots - 1}`;
    return count === 1 ? `page ${page}` : `pages ${page}–${page + count - 1}`;
  });
  const place = `${listed(pages)} · ${series} series`;
  const head = `writer #${id}`;
  if (life === "retained") return `${head}  keeps the counts of the dead · ${place}`;
  const shown = {
    alive: style.green("alive"),
    dead: style.red("dead"),
    unlocked: style.yellow("holds no lock"),
  }[life];
  return `${head}  ${shown} · pid ${pid}, thread ${threadId} · since ${dateText(startedAtMs)} · ${place}`;
}

function listed(pages: readonly string[]): string {
  if (pages.length === 0) return "no page";
  return pages.length <= 4
    ? pages.join(", ")
    : `${pages.slice(0, 3).join(", ")} and ${pages.length - 3} more`;
}

function valueText(
  { kind, unit, combine }: MetricReport,
  series: SeriesReport,
  style: Style,
): string {
  if ("absent" in series) return style.dim("absent: nobody alive has set it");
  if ("value" in series) {
    const how = kind === "gauge" && combine !== "sum" ? style.dim(` (${combine})`) : "";
    return style.bold(formatQuantity(series.value, unit) || "NaN") + how;
  }
  const { count, sum, p50, p90, p99 } = series;
  if (count === 0) return `${style.bold("0")} observed`;
  const quantiles = Object.entries({ p50, p90, p99 })
    .map(([name, value]) => `${name} ${formatQuantity(value, unit)}`)
    .join(" · ");
  return `${style.bold(formatCount(count))} observed · sum ${formatQuantity(sum, unit)} · ${quantiles}`;
}

/** A time that a pool states, which may be none. */
function dateText(unixMs: number): string {
  return Math.abs(unixMs) < 8.64e15
    ? new Date(unixMs)
        .toISOString()
        .replace("T", " ")
        .replace(/\.\d+Z$/, "Z")
    : "an impossible time";
}
