// Makes the exporters that the flags of `microview collect` ask for.

import { wantedBy } from "../../collector/index.ts";
import type { Exporter } from "../../sinks/delivery/index.ts";
import { Otlp } from "../../sinks/otlp/index.ts";
import { type PushOptions, refuseAlone } from "./flags.ts";
import { otlpOptions } from "./otlp.ts";
import { remoteWriteOf } from "./remote-write.ts";
import type { PushSource } from "./source.ts";

export function exportersOf(options: Partial<PushOptions>, source: PushSource): Exporter[] {
  const { remoteWrite, otlp } = options;
  const exporters: Exporter[] = [];
  if (remoteWrite === undefined) refuseAlone(options, "remoteWrite");
  else exporters.push(remoteWriteOf(options, remoteWrite, source));
  if (otlp === undefined) refuseAlone(options, "otlp");
  else exporters.push(otlpOf(options, otlp, source));
  return exporters;
}

function otlpOf(
  options: Partial<PushOptions>,
  otlp: string,
  { filter, isRecorded, onNotice }: PushSource,
): Exporter {
  const all = otlpOptions(options, otlp, undefined, wantedBy(filter).metric, onNotice);
  return new Otlp({ ...all, ...(isRecorded ? { awayMs: Number.POSITIVE_INFINITY } : {}) });
}
