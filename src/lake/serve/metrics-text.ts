// A lake's own numbers as Prometheus text, version 0.0.4.

import { escapeLabel } from "../../exposition/index.ts";
import type { LakeStatus } from "./status.ts";

type Sample = readonly [labels: Readonly<Record<string, string>>, value: number];

/** `text/plain` of Prometheus. */
export const METRICS_CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8";

export function metricsText({
  events,
  blocks,
  segments,
  streams,
  views,
  since,
}: LakeStatus): string {
  return [
    family("events", "gauge", "Events of the blocks that are kept, by kind.", by("kind", events)),
    family("blocks", "gauge", "Blocks that are kept.", one(blocks)),
    family("segments", "gauge", "Segments that are kept.", one(segments.count)),
    family("segment_bytes", "gauge", "Bytes of them.", one(segments.bytes)),
    family(
      "streams_alive",
      "gauge",
      "Writers that have not ended and were heard of.",
      one(streams.alive),
    ),
    family(
      "view_files",
      "gauge",
      "Files of views.",
      of(views, ({ files }) => files),
    ),
    family(
      "view_rows",
      "gauge",
      "Rows of views.",
      of(views, ({ rows }) => rows),
    ),
    family(
      "view_bytes",
      "gauge",
      "Bytes of views.",
      of(views, ({ bytes }) => bytes),
    ),
    family(
      ...(["view_set_aside_blocks", "gauge", "Blocks that cannot be read for a view."] as const),
      of(views, ({ setAside }) => setAside),
    ),
    family(
      ...(["view_waiting_blocks", "gauge", "Blocks that are in no file of a view yet."] as const),
      of(views, ({ waiting }) => waiting?.blocks),
    ),
    family(
      ...(["view_lag_seconds", "gauge", "How long the oldest of them has waited."] as const),
      of(views, ({ waiting }) => waiting && waiting.oldestMs / 1000),
    ),
    family("received_segments_total", "counter", "Segments that were stored.", one(since.segments)),
    family("received_bytes_total", "counter", "Bytes of them.", one(since.bytes)),
    family("segments_again_total", "counter", "Segments that came again.", one(since.again)),
    family(
      ...([
        "block_conflicts_total",
        "counter",
        "Blocks that came again and ended elsewhere.",
      ] as const),
      one(since.conflicts),
    ),
    family(
      ...([
        "refused_total",
        "counter",
        "Segments and requests that were refused, by code.",
      ] as const),
      by("code", since.refused),
    ),
    family(
      ...(["otlp_rejected_total", "counter", "Records of OTLP that no table can hold."] as const),
      by("signal", since.rejected),
    ),
  ].join("");
}

function family(
  name: string,
  kind: "counter" | "gauge",
  help: string,
  samples: readonly Sample[],
): string {
  if (samples.length === 0) return "";
  const full = `microview_lake_${name}`;
  const lines = samples.map(([labels, value]) => {
    const text = Object.entries(labels).map(([label, each]) => `${label}="${escapeLabel(each)}"`);
    return `${full}${text.length === 0 ? "" : `{${text.join(",")}}`} ${value}\n`;
  });
  return `# HELP ${full} ${help}\n# TYPE ${full} ${kind}\n${lines.join("")}`;
}

function one(value: number): Sample[] {
  return [[{}, value]];
}

function by(label: string, values: Readonly<Record<string, number>>): Sample[] {
  return Object.entries(values).map(([key, value]) => [{ [label]: key }, value]);
}

function of(
  views: LakeStatus["views"],
  value: (view: LakeStatus["views"][number]) => number | null | undefined,
): Sample[] {
  return views.flatMap((view): Sample[] => {
    const each = value(view);
    return each === null || each === undefined ? [] : [[{ view: view.view }, each]];
  });
}
