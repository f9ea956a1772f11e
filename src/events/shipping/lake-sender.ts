// Sends what is in the spool to the lake, segment after segment: PUT /v1/segments/ID. A lake that is away is asked again,
// with longer and longer pauses, and so is one that wants another token; what it refuses for good stays aside.

import { bearerFrom, Sender } from "../../sinks/delivery/index.ts";
import type { ShippingOptions } from "./protocol.ts";
import type { SegmentRequest, Spool } from "./spool.ts";

export const LAKE_FLAGS = { tokenFile: "--lake-token-file", ca: "--lake-ca" };

/**
 * What is wrong with the segment itself: damaged, another one under its id, too large, not to be understood. All else is
 * about the token, the address, or what somebody has put in front of the lake, and people can mend that.
 */
const FINAL = new Set([400, 409, 413, 422]);

/** Of a lake that lets this token bring events of some applications alone. */
const FOREIGN_APP = "foreign-app";

export function lakeSender(
  spool: Spool,
  options: ShippingOptions,
  onNotice: (text: string) => void,
): Sender<SegmentRequest> {
  const { lake, tokenFile, ca, timeoutMs, backoffMs } = options;
  const base = lake.replace(/\/+$/, "");
  const token = tokenFile === undefined ? undefined : bearerFrom(tokenFile, LAKE_FLAGS.tokenFile);
  return new Sender<SegmentRequest>(spool, {
    url: base,
    urlOf: ({ segmentId }) => `${base}/v1/segments/${segmentId}`,
    method: "PUT",
    name: `the lake at ${new URL(base).host}`,
    itemNoun: "event",
    refusedAre: `kept in ${options.spool}/refused`,
    headers: () => ({ "content-type": "application/octet-stream", ...token?.read() }),
    mayPass: (status) => !FINAL.has(status),
    assess: (_, { status }, answer) => {
      // It has events of one application alone, and those of others are not to wait for it.
      return status === 403 && codeOf(answer) === FOREIGN_APP ? "refused" : undefined;
    },
    onRefused: (request) => spool.refuse(request),
    onNotice,
    flags: { ca: LAKE_FLAGS.ca, tls: "an https URL" },
    hintOf: (code) =>
      code === "401" || code === "403"
        ? `give ${LAKE_FLAGS.tokenFile} with a token of the lake that has scopes=ingest`
        : undefined,
    ...(ca === undefined ? {} : { ca }),
    ...(timeoutMs === undefined ? {} : { timeoutMs }),
    ...(backoffMs === undefined ? {} : { backoffMs }),
  });
}

function codeOf(answer: Uint8Array): string | undefined {
  try {
    const { code } = JSON.parse(new TextDecoder().decode(answer)) as { code?: unknown };
    return typeof code === "string" ? code : undefined;
  } catch {
    return undefined;
  }
}
