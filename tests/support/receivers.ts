// Prometheus and VictoriaMetrics as Debian has them, on loopback ports and folders of their own, to push to and to ask
// what they have stored. `await using` ends and clears them away.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { until } from "./wait.ts";

/** A series as it is stored: its samples by time in ms. */
export type Stored = Map<string, Map<number, number>>;

/** `name{a="b"}` of labels, in the order of their names. */
export function seriesName({ __name__ = "", ...labels }: Record<string, string>): string {
  const pairs = Object.keys(labels).sort();
  return `${__name__}{${pairs.map((name) => `${name}=${JSON.stringify(labels[name])}`).join(",")}}`;
}

abstract class Receiver implements AsyncDisposable {
  readonly folder = mkdtempSync("/tmp/microview-receiver-");
  port = 0;
  #child: Bun.Subprocess | undefined;

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  get writeUrl(): string {
    return `${this.url}/api/v1/write`;
  }

  /** Starts it, again with what it has stored. It keeps its port. */
  async start(): Promise<this> {
    if (this.port === 0) this.port = await freePort();
    const child = Bun.spawn(this.command(), { stdin: "ignore", stdout: "ignore", stderr: "pipe" });
    this.#child = child;
    await until(`${this.url} is ready`, async () => {
      if (child.exitCode !== null) {
        throw new Error(`it has ended: ${await new Response(child.stderr).text()}`);
      }
      return (await fetch(`${this.url}${this.readyPath}`)).ok;
    });
    return this;
  }

  /** Ends it in the hardest way after which it promises to have kept what it took. */
  async kill(): Promise<void> {
    this.#child?.kill(this.hardestEnd);
    await this.#child?.exited;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
    rmSync(this.folder, { recursive: true, force: true });
  }

  protected readonly hardestEnd: NodeJS.Signals = "SIGKILL";
  protected abstract readonly readyPath: string;
  protected abstract command(): string[];
  /** All that it has stored. */
  abstract stored(): Promise<Stored>;
}

export class Prometheus extends Receiver {
  protected readonly readyPath = "/-/ready";

  /** @param features as --enable-feature takes them */
  constructor(readonly features: readonly string[] = []) {
    super();
  }

  protected command(): string[] {
    const config = join(this.folder, "prometheus.yml");
    writeFileSync(config, "global: {}\n");
    return [
      "prometheus",
      `--config.file=${config}`,
      `--storage.tsdb.path=${join(this.folder, "data")}`,
      `--web.listen-address=127.0.0.1:${this.port}`,
      "--web.enable-remote-write-receiver",
      "--log.level=error",
      ...(this.features.length > 0 ? [`--enable-feature=${this.features.join(",")}`] : []),
    ];
  }

  async query(query: string, timeMs = Date.now()): Promise<QueryResult[]> {
    const parameters = new URLSearchParams({ query, time: String(timeMs / 1000) });
    const response = await fetch(`${this.url}/api/v1/query?${parameters}`);
    const { status, data, error } = (await response.json()) as QueryAnswer;
    if (status !== "success") throw new Error(error);
    return data.result;
  }

  async stored(): Promise<Stored> {
    const stored: Stored = new Map();
    for (const { metric, values = [] } of await this.query('{__name__!=""}[1d]')) {
      const samples = values.map(([s, text]) => [Math.round(s * 1000), Number(text)] as const);
      stored.set(seriesName(metric), new Map(samples));
    }
    return stored;
  }
}

export interface QueryResult {
  metric: Record<string, string>;
  value?: [number, string];
  values?: [number, string][];
}

interface QueryAnswer {
  status: string;
  error?: string;
  data: { result: QueryResult[] };
}

export class VictoriaMetrics extends Receiver {
  protected readonly readyPath = "/health";
  // It keeps what it took in memory for some seconds, and says so; a SIGKILL loses that.
  protected override readonly hardestEnd = "SIGTERM";

  protected command(): string[] {
    return [
      "victoria-metrics",
      `-storageDataPath=${join(this.folder, "data")}`,
      `-httpListenAddr=127.0.0.1:${this.port}`,
      "-memory.allowedBytes=128MB",
      "-loggerLevel=ERROR",
      "-loggerOutput=stderr",
    ];
  }

  async stored(): Promise<Stored> {
    // It shows what it has taken after about a second, or when it is told to.
    await fetch(`${this.url}/internal/force_flush`);
    const response = await fetch(`${this.url}/api/v1/export?match[]={__name__!=""}`);
    const stored: Stored = new Map();
    for (const line of (await response.text()).split("\n")) {
      if (line === "") continue;
      const { metric, values, timestamps } = JSON.parse(line) as {
        metric: Record<string, string>;
        values: (number | string | null)[];
        timestamps: number[];
      };
      const samples = timestamps.flatMap((timeMs, i) =>
        values[i] === null ? [] : [[timeMs, Number(values[i])] as const],
      );
      stored.set(seriesName(metric), new Map(samples));
    }
    return stored;
  }
}

/** A port of the loopback that nobody listens on. */
export function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer();
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });
}
