// Which version of remote write a receiver is spoken to in. 2.0 is tried, unless told otherwise; who does not know it is
// spoken to in 1.0 from then on, also what was written in 2.0 already.
// https://prometheus.io/docs/specs/prw/remote_write_spec_2_0/#required-written-response-headers

import type { PushRequest } from "../delivery/backlog.ts";
import type { Verdict } from "../delivery/sender.ts";
import type { WireVersion } from "./template.ts";
import { toVersion1 } from "./transcode.ts";

/** What may be asked for. */
export type RemoteWriteProtocol = "auto" | "1" | "2";

const HEADERS: Readonly<Record<WireVersion, Record<string, string>>> = {
  1: {
    "content-type": "application/x-protobuf",
    "x-prometheus-remote-write-version": "0.1.0",
  },
  2: {
    "content-type": "application/x-protobuf;proto=io.prometheus.write.v2.Request",
    "x-prometheus-remote-write-version": "2.0.0",
  },
};

/** How a server answers that fails by itself, and not because it is away. */
const FAILURES: readonly number[] = [500, 501];
const FAILURES_MAX = 5;

/** Of what a request has in it; there are no exemplars. */
const WRITTEN = ["samples", "histograms", "exemplars"].map(
  (what) => `x-prometheus-remote-write-${what}-written`,
);

export class Negotiation {
  /** What the receiver is spoken to in, as far as is known. */
  version: WireVersion;
  /** The receiver has shown that it knows 2.0. */
  #isConfirmed = false;
  /** Answers in a row that may be those of one that fails over what it does not know. */
  #failures = 0;
  #converted: { request: PushRequest; body: Uint8Array<ArrayBuffer> } | undefined;

  /** @param onFallback told that the receiver speaks 1.0, and by what that was seen */
  constructor(
    readonly protocol: RemoteWriteProtocol,
    readonly onFallback: (reason: string) => void,
  ) {
    this.version = protocol === "1" ? 1 : 2;
  }

  /** Headers that say what a request is. */
  headersOf(request: PushRequest): Record<string, string> {
    return HEADERS[this.#sentIn(request)];
  }

  /** A request as the receiver understands it. @throws RangeError for one that is damaged */
  bodyOf(request: PushRequest): Uint8Array<ArrayBuffer> {
    if (this.#sentIn(request) === versionOf(request)) return request.body;
    if (this.#converted?.request !== request) {
      this.#converted = { request, body: toVersion1(request.body) };
    }
    return this.#converted.body;
  }

  /** What an answer says beyond its status; undefined for nothing. */
  assess(request: PushRequest, { status, headers }: Response): Verdict | undefined {
    if (this.#sentIn(request) === 1) return undefined;
    const written = writtenBy(headers);
    if (written !== undefined) {
      this.#isConfirmed = true;
      return { written };
    }
    const isTaken = status >= 200 && status < 300;
    // 1.x refuses what it does not know with 400, takes it for an empty request, or fails over it each time.
    this.#failures = FAILURES.includes(status) ? this.#failures + 1 : 0;
    const isOld = status === 400 || this.#failures >= FAILURES_MAX;
    const isUnknown = status === 415 || isTaken || (isOld && !this.#isConfirmed);
    if (!isUnknown) return undefined;
    const reason = isTaken ? `${status}, not saying what was written` : String(status);
    if (this.protocol === "2") {
      return { written: 0, reason: `${reason}: it does not know remote write 2.0` };
    }
    this.version = 1;
    this.onFallback(reason);
    return "again";
  }

  /** What was written in 1.0, by an earlier run, stays so. */
  #sentIn(request: PushRequest): WireVersion {
    return this.version === 2 ? versionOf(request) : 1;
  }
}

function versionOf({ version }: PushRequest): WireVersion {
  return version === 2 ? 2 : 1;
}

/** How much a receiver says that it has written; undefined when it says nothing of it. */
function writtenBy(headers: Headers): number | undefined {
  const counts = WRITTEN.flatMap((name) => headers.get(name) ?? []);
  if (counts.length === 0) return undefined;
  return counts.reduce((sum, text) => sum + (/^\d{1,15}$/.test(text) ? Number(text) : 0), 0);
}
