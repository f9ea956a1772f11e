// A flag's value that is a name of this host.

import { UsageError } from "./errors.ts";

/** One name, or `*.` and a name for all that are one level below. */
const NAME = /^(?:\*\.)?[a-z0-9_-]+(?:\.[a-z0-9_-]+)*\.?$/i;

/** @throws UsageError for what is no name, as with a port */
export function parseHostName(text: string, label: string): string {
  if (NAME.test(text)) return text;
  throw new UsageError(
    `${label} takes a name like metrics.example.com or *.example.com, not ${JSON.stringify(text)}`,
  );
}
