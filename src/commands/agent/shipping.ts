// The agent's flags for events that go to a lake, and what they mean.

import { hostname } from "node:os";
import { flag, UsageError } from "../../command-line/index.ts";
import type { ShippingOptions } from "../../events/index.ts";
import { parseHttpUrl } from "../push/flags.ts";
import { refuseAlone } from "../support/alone.ts";

const EVENTS = "Events";

export const LAKE_FLAGS = {
  lake: flag.parsed(parseHttpUrl, {
    group: EVENTS,
    hint: "URL",
    description:
      "ship logs, measures and spans of this host's services to this lake, e.g. http://lake:7080",
  }),
  lakeTokenFile: flag.path({
    group: EVENTS,
    description: "file with the token to show the lake; read again for each request",
  }),
  lakeCa: flag.path({
    group: EVENTS,
    description: "certificates to trust there, PEM",
    shownDefault: "the system's",
  }),
  spool: flag.directory({
    group: EVENTS,
    description: "keep there what the lake has not taken yet",
    shownDefault: "spool in the state directory",
  }),
  spoolSize: flag.size({
    group: EVENTS,
    description: "how much may be kept there; the oldest goes first",
    shownDefault: "1GiB",
    min: "8MiB",
  }),
  spoolAge: flag.duration({
    group: EVENTS,
    description: "how long it may be kept there",
    shownDefault: "3d",
    min: "1s",
  }),
};

const DEFAULT_SPOOL_BYTES = 1 << 30;
const DEFAULT_SPOOL_AGE_MS = 3 * 86_400_000;

type Options = Partial<flag.Options<typeof LAKE_FLAGS>> & { nodeName: string | undefined };

/**
 * Undefined where nothing is shipped.
 * @throws UsageError for flags without --lake, SettingError for files that cannot be used
 */
export async function shippingOf(options: Options): Promise<ShippingOptions | undefined> {
  const { lake, lakeTokenFile: tokenFile, lakeCa, spool, spoolSize, spoolAge, nodeName } = options;
  refuseAlone(options, "lake");
  if (lake === undefined) {
    for (const [name, value] of Object.entries({ spool, spoolSize, spoolAge })) {
      if (value !== undefined) throw new UsageError(`${flag.flagName(name)} needs --lake`);
    }
    return undefined;
  }
  const { opensAll } = await import("../../ffi/index.ts");
  const { defaultStateDir } = await import("../../layout/index.ts");
  const { bearerFrom } = await import("../../sinks/delivery/index.ts");
  const { readAuthorities } = await import("../../http/index.ts");
  // What cannot be read is said now, and not with the first request.
  if (tokenFile !== undefined) bearerFrom(tokenFile, "--lake-token-file").check();
  return {
    lake,
    spool: spool ?? `${defaultStateDir(process.env, process.geteuid?.())}/spool`,
    spoolBytes: spoolSize ?? DEFAULT_SPOOL_BYTES,
    spoolAgeMs: spoolAge ?? DEFAULT_SPOOL_AGE_MS,
    host: nodeName ?? hostname(),
    isForAll: opensAll(),
    ...(tokenFile === undefined ? {} : { tokenFile }),
    ...(lakeCa === undefined ? {} : { ca: readAuthorities(lakeCa, "--lake-ca") }),
  };
}
