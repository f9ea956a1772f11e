// Makes the exporters that the flags of `microview collect` ask for.

import { type Filter, wantedBy } from "../../collector/index.ts";
import { type Exporter, Otlp } from "../../export/index.ts";
import { type PushOptions, refuseAlone } from "./flags.ts";
import { ToldProcesses } from "./identities.ts";
import { otlpOptions } from "./otlp.ts";
import { remoteWriteOf } from "./remote-write.ts";

/** @param onNotice told what a person should know, in words */
export function exportersOf(
  options: Partial<PushOptions>,
  filter: Filter,
  onNotice: (text: string) => void,
): Exporter[] {
  const { remoteWrite, otlp } = options;
  const exporters: Exporter[] = [];
  if (remoteWrite === undefined) refuseAlone(options, "remoteWrite");
  else exporters.push(remoteWriteOf(options, remoteWrite, filter, onNotice));
  if (otlp === undefined) refuseAlone(options, "otlp");
  else exporters.push(otlpOf(options, otlp, filter, onNotice));
  return exporters;
}

function otlpOf(
  options: Partial<PushOptions>,
  otlp: string,
  filter: Filter,
  onNotice: (text: string) => void,
): Exporter {
  const told = new ToldProcesses();
  const wanted = wantedBy(filter).metric;
  const all = otlpOptions(options, otlp, { processesOf: told.of }, wanted, onNotice);
  return new Otlp({ ...all, observe: (snapshot) => told.observe(snapshot) });
}
