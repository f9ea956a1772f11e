// How well an agent's deadlines were kept, in one line: what is not shown is easily believed to be good.

import type { TargetStatistics } from "../../collector/index.ts";
import { counted } from "../../text/index.ts";

export function statisticsLine(each: TargetStatistics): string {
  const { source, transport, away, snapshots, missed, overruns, unsettled, gaps } = each;
  const state = transport === undefined ? `away: ${away ?? "not reached"}` : `read by ${transport}`;
  const parts = [
    `${source}: ${counted(snapshots, "snapshot")}, ${state}`,
    `missed deadlines ${missed}`,
    `lateness p50 ${microseconds(each.lateness.quantileUs(0.5))} p99 ${microseconds(each.lateness.quantileUs(0.99))}`,
    `read p50 ${microseconds(each.read.quantileUs(0.5))} p99 ${microseconds(each.read.quantileUs(0.99))}`,
  ];
  if (gaps > 0) parts.push(`gaps ${gaps}`);
  if (overruns > 0) parts.push(`dropped for a slow reader ${overruns}`);
  if (unsettled > 0) parts.push(`unsettled ${unsettled}`);
  return parts.join("; ");
}

function microseconds(us: number): string {
  if (Number.isNaN(us)) return "-";
  return us >= 1000 ? `${(us / 1000).toFixed(1)} ms` : `${us.toFixed(0)} µs`;
}
