// Sends what is in the spool to the lake, segment after segment: PUT /v1/segments/ID. A lake that is away is asked again,
// with longer and longer pauses; what it refuses for good stays aside.

import { bearerFrom, Sender } from "../../sinks/delivery/index.ts";
import type { ShippingOptions } from "./protocol.ts";
import type { SegmentRequest, Spool } from "./spool.ts";

export const LAKE_FLAGS = { tokenFile: "--lake-token-file", ca: "--lake-ca" };

/** Request Timeout, Too Early and Too Many Requests ask for the same again: RFC 9110, 8470 and 6585. */
const PASSING = new Set([408, 425, 429]);

/** A lake that redirects is not one that refuses: somebody has put something in front of it. */
function mayPass(status: number): boolean {
  return status < 400 || status >= 500 || PASSING.has(status);
}

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
    mayPass,
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
