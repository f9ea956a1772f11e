// POST /v1/logs, /v1/traces and /v1/metrics, as OTLP/HTTP has them (specification 1.7, "OTLP/HTTP"): protobuf or JSON,
// packed by gzip or not. What was sent becomes a segment like those of agents; its id comes from the body.

import { promisify } from "node:util";
import { gunzip } from "node:zlib";
import { Buckets, CallError, grantOf, type Log, sharerOf, Turns } from "../../guard/index.ts";
import { encodeSegment } from "../../layout/index.ts";
import type { LakeCounters } from "../counters.ts";
import { type Ingestion, LaterError } from "../ingestion/index.ts";
import { wallNs } from "../times.ts";
import { type Converted, convert } from "./convert.ts";
import {
  decodeRequest,
  decodeResources,
  encodeAnswer,
  encodeStatus,
  OtlpError,
  type Signal,
} from "./messages.ts";
import { digest, originOf } from "./origin.ts";
import { weigh } from "./weigh.ts";

/** What a body unpacks to at most. */
const UNPACKED_BYTES_MAX = 1 << 26;
/** Requests that wait until those before them are rows: their bodies are in memory. */
const WAITING_MAX = 64;
const WAITING_OF_CALLER_MAX = 16;
/** After so much work at a stretch others are answered. */
const STRETCH_MS = 20;
/** Senders try again after these alone; 507 would be the end of what they have. */
const RETRYABLE = [429, 502, 503, 504];

const unzip = promisify<Buffer, { maxOutputLength: number }, Buffer>(gunzip);

export class OtlpReceiver {
  readonly #ingestion: Ingestion;
  readonly #counters: LakeCounters;
  readonly #log: Log;
  /** Lines about what is lost, per second and at once. */
  readonly #losses = new Buckets(1, 10);

  /** One request is objects at a time: these take many times its bytes. */
  readonly #turns = new Turns({
    ...{ atOnce: 1, waiting: WAITING_MAX },
    perCaller: { atOnce: 1, waiting: WAITING_OF_CALLER_MAX },
    refusal: tooMany,
  });

  constructor(ingestion: Ingestion, counters: LakeCounters, log: Log) {
    this.#ingestion = ingestion;
    this.#counters = counters;
    this.#log = log;
  }

  /** @throws CallError for what the guard has to know of: who may not, and what is too long */
  async answer(signal: Signal, request: Request): Promise<Response> {
    const type = (request.headers.get("content-type") ?? "").split(";")[0]!.trim().toLowerCase();
    const isJson = type === "application/json";
    if (!isJson && type !== "application/x-protobuf") {
      throw new CallError(
        "unknown-content-type",
        `OTLP comes as application/x-protobuf or application/json, and this is ${JSON.stringify(type.slice(0, 80))}`,
        "set OTEL_EXPORTER_OTLP_PROTOCOL to http/protobuf or http/json",
        415,
      );
    }
    const headers = { "content-type": type };
    try {
      const outcome = await this.#take(signal, request, isJson);
      return new Response(encodeAnswer(signal, outcome, isJson), { headers });
    } catch (error) {
      if (error instanceof OtlpError) {
        this.#counters.refused("invalid-otlp");
        if (this.#losses.take("")) {
          const by = grantOf(request).name;
          this.#log.warn("OTLP was refused", { signal, by, reason: error.message });
        }
        const status = 400;
        return new Response(encodeStatus(error.message, isJson), { status, headers });
      }
      if (error instanceof CallError && error.status >= 500) {
        const status = RETRYABLE.includes(error.status) ? error.status : 503;
        const body = encodeStatus(error.message, isJson);
        return new Response(body, { status, headers: { ...headers, ...error.headers } });
      }
      throw error;
    }
  }

  #take(signal: Signal, request: Request, isJson: boolean) {
    return this.#ingestion.withBody(request, async (given) => {
      const end = await this.#turns.take(sharerOf(request), request.signal);
      let read: Converted & { segmentId: string };
      try {
        read = await this.#read(signal, request, await unpacked(request, given), isJson);
      } finally {
        end();
      }
      const { segmentId, blocks, rejected, reason } = read;
      this.#counters.reject(signal, rejected);
      if (blocks.length > 0) {
        await this.#ingestion.put(segmentId, encodeSegment(blocks), grantOf(request));
      }
      return { rejected, reason };
    });
  }

  async #read(signal: Signal, request: Request, body: Uint8Array, isJson: boolean) {
    weigh(signal, body, isJson);
    const grant = grantOf(request);
    const check = (apps: ReadonlySet<string>) => this.#ingestion.checkApps(apps, grant);
    if (!isJson && !grant.all) {
      const origins = decodeResources(body).map((resource) => originOf(resource, signal));
      check(new Set(origins.map(({ process }) => process.app)));
    }
    const bodyDigest = digest(body);
    const nowNs = wallNs();
    const message = decodeRequest(signal, body, isJson);
    const converted = await convert(signal, message, { bodyDigest, nowNs, check, pause: pauses() });
    return { ...converted, segmentId: digest(`${signal} ${bodyDigest}`).slice(0, 32) };
  }
}

/** What to call amid long work: it lets others go first now and then. */
function pauses(): () => Promise<void> | undefined {
  let sinceMs = performance.now();
  return () => {
    if (performance.now() - sinceMs < STRETCH_MS) return undefined;
    return new Promise((resolve) =>
      setImmediate(() => {
        sinceMs = performance.now();
        resolve();
      }),
    );
  };
}

function tooMany(waiting: number): CallError {
  return new LaterError(
    "lake-busy",
    `${waiting} requests of OTLP wait already`,
    "send it again a little later",
    503,
    1,
  );
}

/** @throws OtlpError for what cannot be unpacked, CallError 413 for what is too long then, 415 for other packings */
async function unpacked(request: Request, body: Uint8Array): Promise<Uint8Array> {
  const encoding = (request.headers.get("content-encoding") ?? "identity").trim().toLowerCase();
  if (encoding === "identity" || encoding === "") return body;
  if (encoding !== "gzip") {
    throw new CallError(
      "unknown-content-encoding",
      `the body is packed by ${JSON.stringify(encoding.slice(0, 80))}`,
      "send it as it is, or by gzip",
      415,
    );
  }
  try {
    return await unzip(Buffer.from(body), { maxOutputLength: UNPACKED_BYTES_MAX });
  } catch (error) {
    if ((error as { code?: string }).code !== "ERR_BUFFER_TOO_LARGE")
      throw new OtlpError(`the body cannot be unpacked: ${(error as Error).message}`);
    throw new CallError(
      "body-full",
      `the body unpacks to more than ${UNPACKED_BYTES_MAX} bytes`,
      "send it in parts",
      413,
    );
  }
}
