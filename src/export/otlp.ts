// OTLP over HTTP: snapshots into requests, and from a bounded backlog to the receiver. `collect` makes one for --otlp.
// https://opentelemetry.io/docs/specs/otlp/#otlphttp

import type { PoolSnapshot } from "../layout/index.ts";
import { MemoryBacklog } from "./backlog.ts";
import { OtlpEncoder, type OtlpEncoderOptions } from "./otlp-encoder.ts";
import { encodeJson, parsePartialSuccess } from "./otlp-json.ts";
import type { OtlpRequest } from "./otlp-model.ts";
import { decodePartialSuccess, encodeProtobuf } from "./otlp-protobuf.ts";
import type { ExportCounters, ExportEnd, Exporter } from "./push.ts";
import { countersOf, Sender, type SenderOptions } from "./sender.ts";

export interface OtlpOptions
  extends OtlpEncoderOptions,
    Pick<SenderOptions, "url" | "ca" | "identity" | "timeoutMs" | "onNotice" | "backoffMs"> {
  format: "protobuf" | "json";
  compression: "gzip" | "none";
  headers: () => Record<string, string>;
  /** A snapshot of each application is sent at most so often. */
  intervalMs: number;
  maxMemoryBytes?: number;
  /** Data points after which a request is full. */
  maxPoints?: number;
  /** A source that has brought no snapshot for so long has ended, as far as the receiver is concerned. */
  awayMs?: number;
}

const DEFAULTS = { maxMemoryBytes: 64 << 20, maxPoints: 5_000, awayMs: 60_000 } as const;
/** Snapshots come a little early at times. */
const EARLY = 0.9;
/** "Retryable response codes"; everything else is given up. */
const RETRYABLE: readonly number[] = [429, 502, 503, 504];

export class Otlp implements Exporter {
  readonly encoder: OtlpEncoder;
  readonly backlog: MemoryBacklog;
  readonly sender: Sender;
  /** Data points that a receiver did not take of requests that it took. */
  rejected = 0;
  readonly #seen = new Map<string, { source: string; app: string; sentMs: number; atMs: number }>();
  readonly #watch: Timer;
  #rejectionSaid = false;

  constructor(readonly options: OtlpOptions) {
    const { format, compression, awayMs = DEFAULTS.awayMs } = options;
    this.encoder = new OtlpEncoder(options);
    this.backlog = new MemoryBacklog(options.maxMemoryBytes ?? DEFAULTS.maxMemoryBytes);
    this.sender = new Sender(this.backlog, {
      ...options,
      name: `the receiver at ${new URL(options.url).host}`,
      headers: () => ({
        ...options.headers(),
        ...(compression === "gzip" ? { "content-encoding": "gzip" } : {}),
        "content-type": format === "json" ? "application/json" : "application/x-protobuf",
        "user-agent": `microview/${options.version}`,
      }),
      mayPass: (status) => RETRYABLE.includes(status),
      onTaken: ({ samples }, answer, contentType) => this.#readAnswer(samples, answer, contentType),
    });
    this.sender.start();
    this.#watch = setInterval(() => this.#endAway(awayMs), Math.min(1000, awayMs / 4));
    this.#watch.unref();
  }

  write(snapshot: PoolSnapshot): void {
    const { source, app } = snapshot;
    const key = `${app} ${source}`;
    const nowMs = performance.now();
    let seen = this.#seen.get(key);
    if (seen === undefined) {
      seen = { source, app, sentMs: Number.NEGATIVE_INFINITY, atMs: nowMs };
      this.#seen.set(key, seen);
    }
    seen.atMs = nowMs;
    if (nowMs - seen.sentMs < this.options.intervalMs * EARLY) return;
    seen.sentMs = nowMs;
    this.#push(this.encoder.request(snapshot));
  }

  gone(source: string, app: string): void {
    this.#seen.delete(`${app} ${source}`);
    const request = this.encoder.end(source, app, Date.now());
    if (request !== undefined) this.#push(request);
  }

  get counters(): ExportCounters {
    const counters = countersOf("otlp", this.sender);
    const { rejected } = this;
    return {
      ...counters,
      samples: counters.samples - rejected,
      refused: counters.refused + rejected,
    };
  }

  async close(graceMs: number): Promise<ExportEnd> {
    clearInterval(this.#watch);
    const left = await this.sender.stop(graceMs);
    const { requests, samples, bytes, retries, refused } = this.sender.counters;
    const { dropped } = this.backlog;
    const host = new URL(this.options.url).host;
    const parts = [
      `${host}: ${samples} data points in ${requests} requests of ${bytes} bytes by OTLP`,
    ];
    if (retries > 0) parts.push(`sent again ${retries}`);
    if (refused > 0) parts.push(`data points refused ${refused}`);
    if (this.rejected > 0) parts.push(`data points rejected by a partial success ${this.rejected}`);
    if (dropped > 0) parts.push(`data points dropped ${dropped}`);
    if (left > 0) parts.push(`data points lost ${left}`);
    return { summary: parts.join("; "), undelivered: left + dropped + refused + this.rejected };
  }

  #push(request: OtlpRequest): void {
    const encode = this.options.format === "json" ? encodeJson : encodeProtobuf;
    for (const { part, points } of split(request, this.options.maxPoints ?? DEFAULTS.maxPoints)) {
      const plain = encode(part) as Uint8Array<ArrayBuffer>;
      const body = this.options.compression === "gzip" ? Bun.gzipSync(plain, { level: 1 }) : plain;
      this.backlog.push({ body, samples: points });
    }
    this.sender.wake();
  }

  #readAnswer(points: number, body: Uint8Array, contentType: string): void {
    const isJson = contentType.startsWith("application/json");
    const partial = isJson
      ? parsePartialSuccess(new TextDecoder().decode(body))
      : decodePartialSuccess(body);
    if (partial === undefined || (partial.rejected === 0 && partial.message === "")) return;
    const { message } = partial;
    const rejected = Math.max(0, Math.min(points, partial.rejected));
    this.rejected += rejected;
    if (this.#rejectionSaid) return;
    this.#rejectionSaid = true;
    const { host } = new URL(this.options.url);
    this.options.onNotice(
      `the receiver at ${host} has taken all but ${rejected} data points: ${message.slice(0, 300)}`,
    );
  }

  #endAway(awayMs: number): void {
    const nowMs = performance.now();
    for (const { source, app, atMs } of this.#seen.values()) {
      if (nowMs - atMs > awayMs) this.gone(source, app);
    }
  }
}

/** Cuts a request into some of at most so many data points. */
function* split(
  { temporality, resources }: OtlpRequest,
  maxPoints: number,
): Generator<{ part: OtlpRequest; points: number }> {
  let part: OtlpRequest = { temporality, resources: [] };
  let points = 0;
  for (const { resource, scope, metrics } of resources) {
    let last: OtlpRequest["resources"][number] | undefined;
    for (const metric of metrics) {
      for (let from = 0; from < metric.points.length; ) {
        const room = maxPoints - points;
        const some = metric.points.slice(from, from + room);
        if (last === undefined) {
          last = { resource, scope, metrics: [] };
          part.resources.push(last);
        }
        last.metrics.push({ ...metric, points: some } as typeof metric);
        from += some.length;
        points += some.length;
        if (points < maxPoints) continue;
        yield { part, points };
        part = { temporality, resources: [] };
        points = 0;
        last = undefined;
      }
    }
  }
  if (points > 0) yield { part, points };
}
