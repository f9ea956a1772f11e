// What a plugin has counted, as the pool shows it, and a server to count.

import { afterEach } from "bun:test";
import type { ServerOptions } from "../../src/frameworks/index.ts";
import { TestHost } from "../support/host.ts";
import type { PoolView } from "../support/pool-view.ts";
import { until } from "../support/wait.ts";

const servers: Bun.Server<unknown>[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) void server.stop(true);
});

/** Serves on a free port of loopback until the test ends. */
export function serve(fetch: (request: Request) => Response | Promise<Response>): string {
  const server = Bun.serve({ hostname: "127.0.0.1", port: 0, development: false, fetch });
  servers.push(server);
  return server.url.origin;
}

/** A host with an agent, and what to give a plugin so that it counts there. */
export class MeasuredHost extends TestHost {
  readonly options: ServerOptions = { mv: this.client({ app: "shop", service: "web" }) };
  #view: PoolView | undefined;

  static async start(): Promise<MeasuredHost> {
    const host = new MeasuredHost();
    await host.agent();
    return host;
  }

  /** The value of a series; 0 when there is none. */
  value(metric: string, labels: Record<string, string>): number {
    this.#view ??= this.view();
    return this.#view.value("web", metric, labels) ?? 0;
  }

  /** The count of a histogram. */
  count(metric: string, labels: Record<string, string>): number {
    this.#view ??= this.view();
    const slots = this.#view.slots("web", metric, labels);
    return slots.slice(0, -1).reduce((sum, count) => sum + count, 0);
  }

  /** The sum of a histogram. */
  sum(metric: string, labels: Record<string, string>): number {
    this.#view ??= this.view();
    return this.#view.slots("web", metric, labels).at(-1) ?? 0;
  }

  /** All values that a label of a metric has had. */
  labelValues(metric: string, label: string): string[] {
    this.#view ??= this.view();
    const { directory } = this.#view.read();
    const values = new Set<string>();
    for (const { definition, series } of directory.metrics.values()) {
      if (definition.name !== metric) continue;
      const at = definition.labelNames.indexOf(label);
      for (const id of series) values.add(directory.labelValues(id)[at]!);
    }
    return [...values].sort();
  }

  /** Waits until a value is as expected. */
  async becomes(expected: number, metric: string, labels: Record<string, string>): Promise<void> {
    await until(`${metric}${JSON.stringify(labels)} is ${expected}`, () => {
      const value = this.value(metric, labels);
      if (value !== expected) throw new Error(`it is ${value}`);
      return true;
    });
  }
}

/**
 * All of an answer but its time, the ETag of what Bun answers itself while nobody wants to see it, and the type that Bun
 * gives to bytes that were made a stream without one (Hono does so with an HTTPException).
 */
export async function seen(url: string, init?: RequestInit) {
  const response = await fetch(url, init);
  const headers = [...response.headers].filter(
    ([name, value]) => name !== "date" && name !== "etag" && value !== "application/octet-stream",
  );
  return { status: response.status, headers, body: await response.text() };
}
