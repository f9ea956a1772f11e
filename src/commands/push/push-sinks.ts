// Makes the sinks that push, as the flags of `microview collect` ask for them.

import type { PushSink } from "../../sinks/delivery/index.ts";
import { Otlp } from "../../sinks/otlp/index.ts";
import { refuseAlone } from "../support/alone.ts";
import type { PushOptions } from "./flags.ts";
import { otlpOptions } from "./otlp.ts";
import { remoteWriteOf } from "./remote-write.ts";
import type { PushSource } from "./source.ts";

export function pushSinksOf(options: Partial<PushOptions>, source: PushSource): PushSink[] {
  const { remoteWrite, otlp } = options;
  const sinks: PushSink[] = [];
  for (const main of ["remoteWriteWal", "remoteWrite", "otlp"]) refuseAlone(options, main);
  if (remoteWrite !== undefined) sinks.push(remoteWriteOf(options, remoteWrite, source));
  if (otlp !== undefined) sinks.push(otlpOf(options, otlp, source));
  return sinks;
}

function otlpOf(
  options: Partial<PushOptions>,
  otlp: string,
  { isRecorded, onNotice }: PushSource,
): PushSink {
  const all = otlpOptions(options, otlp, undefined, onNotice);
  return new Otlp({ ...all, ...(isRecorded ? { awayMs: Number.POSITIVE_INFINITY } : {}) });
}
