// A lake's status as people read it. What was answered may be anybody's: it is shown as it is only after `printable`.

import type { LakeStatus } from "../../lake/index.ts";
import {
  formatBytes,
  formatCount,
  formatSeconds,
  printable,
  type Style,
} from "../../text/index.ts";

/** @param answer of GET /v1/status, with whatever may be missing in it */
export function statusText(answer: unknown, style: Style): string {
  const { events, segments, streams, since, views, ...rest } = (answer ??
    {}) as Partial<LakeStatus>;
  const pairs: [string, string][] = [
    ["version", shown(rest.version)],
    ["started", shown(rest.startedAt)],
    ["logs", count(events?.logs)],
    ["measures", count(events?.measures)],
    ["metrics", count(events?.metrics)],
    ["spans", count(events?.spans)],
    [
      "blocks",
      `${count(rest.blocks)} in ${count(segments?.count)} segments, ${bytes(segments?.bytes)}`,
    ],
    ["oldest", shown(rest.oldest)],
    ["newest", shown(rest.newest)],
    ["last block", shown(rest.lastBlock)],
    ["processes", count(rest.processes)],
    ["streams", `${count(streams?.all)}, ${count(streams?.alive)} alive`],
    ["came again", `${count(since?.again)} segments`],
    ["lost", lossText(since, views)],
    ...problemsOf(rest.problems),
  ];
  const width = Math.max(...pairs.map(([name]) => name.length));
  const head = pairs
    .map(([name, value]) => `${style.dim(name.padEnd(width))}  ${value}\n`)
    .join("");
  return `${head}\n${tableOf(Array.isArray(views) ? views : [], style)}`;
}

function lossText(since: Partial<LakeStatus["since"]> | undefined, views: unknown): string {
  const told = [
    ...((since?.conflicts ?? 0) > 0 ? [`${count(since?.conflicts)} conflicting blocks`] : []),
    ...setAsideOf(views),
    ...byReason(since?.refused, "refused"),
    ...byReason(since?.rejected, "of OTLP rejected"),
  ];
  return told.length === 0 ? "nothing since the lake was started" : told.join(", ");
}

/** Of views, until another version looks at them again. */
function setAsideOf(views: unknown): string[] {
  if (!Array.isArray(views)) return [];
  return views.flatMap(({ view, setAside }: Partial<LakeStatus["views"][number]>) =>
    typeof setAside === "number" && setAside > 0
      ? [`${count(setAside)} blocks that cannot be read: ${shown(view)}`]
      : [],
  );
}

function problemsOf(problems: unknown): [string, string][] {
  return Array.isArray(problems) ? problems.map((each) => ["problem", shown(each)]) : [];
}

function byReason(counts: unknown, what: string): string[] {
  if (typeof counts !== "object" || counts === null) return [];
  return Object.entries(counts).map(([key, value]) => `${count(value)} ${what}: ${printable(key)}`);
}

function tableOf(views: LakeStatus["views"], style: Style): string {
  const rows = [
    ["view", "files", "rows", "bytes", "oldest", "newest", "waiting"],
    ...views.map((view) => [
      shown(view.view),
      count(view.files),
      count(view.rows),
      bytes(view.bytes),
      shown(view.oldest),
      shown(view.newest),
      waitingText(view.waiting),
    ]),
  ];
  const widths = rows[0]!.map((_, i) => Math.max(...rows.map((row) => row[i]!.length)));
  const lines = rows.map((row) =>
    row
      .map((cell, i) => cell.padEnd(widths[i]!))
      .join("  ")
      .trimEnd(),
  );
  return lines.map((line, i) => `${i === 0 ? style.dim(line) : line}\n`).join("");
}

function waitingText(waiting: LakeStatus["views"][number]["waiting"] | undefined): string {
  if (waiting === null || waiting === undefined) return "";
  if (!(waiting.blocks > 0)) return "nothing";
  const rows = `${count(waiting.rows)}${waiting.isMore === true ? " and more" : ""} rows`;
  return `${rows}, ${formatSeconds(Number(waiting.oldestMs) / 1000)}`;
}

function shown(value: unknown): string {
  return value === null || value === undefined ? "-" : printable(String(value));
}

function count(value: unknown): string {
  return typeof value === "number" ? formatCount(value) : "-";
}

function bytes(value: unknown): string {
  return typeof value === "number" ? formatBytes(value) : "-";
}
