// The examples, run as a reader runs them: in a project of their own, beside the built program.

import { beforeAll, describe, expect, test } from "bun:test";
import { copyFileSync, mkdirSync, readdirSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { ROOT, TestHost } from "../support/host.ts";
import { parsePrometheus } from "../support/prometheus.ts";
import { until } from "../support/wait.ts";
import { BuiltAgent, builtProgram, Program, placeFlags } from "./program.ts";

const EXAMPLES = join(ROOT, "examples");

beforeAll(() => {
  builtProgram();
});

/** Of each service what is asked of it, and what microview then shows. */
const SERVICES: Readonly<Record<string, { ask: string[]; shows: Record<string, number> }>> = {
  "service.ts": {
    ask: ["login/alice", "login/alice", "login/mallory"],
    shows: {
      'logins_total{app="shop",outcome="ok",service="auth"}': 2,
      'logins_total{app="shop",outcome="failed",service="auth"}': 1,
      'login_duration_seconds_count{app="shop",service="auth"}': 3,
    },
  },
  "prom-client.ts": {
    ask: ["order/fr/25", "order/fr/250", "order/de/7"],
    shows: {
      'orders_total{app="shop",country="fr",service="orders"}': 2,
      'orders_total{app="shop",country="de",service="orders"}': 1,
      'order_amount_euros_bucket{app="shop",le="100.0",service="orders"}': 2,
      'order_amount_euros_sum{app="shop",service="orders"}': 282,
    },
  },
  "opentelemetry.ts": {
    ask: ["pay/card", "pay/cash", "pay/card"],
    shows: {
      'payments_done_total{app="shop",method="card",network="visa",otel_scope_name="payments",otel_scope_version="1.0.0",service="payments"}': 2,
      'payments_done_total{app="shop",method="cash",otel_scope_name="payments",otel_scope_version="1.0.0",service="payments"}': 1,
      'payment_duration_seconds_count{app="shop",method="card",otel_scope_name="payments",otel_scope_version="1.0.0",service="payments"}': 2,
    },
  },
  "elysia.ts": {
    ask: ["twice/7", "orders/9", "nowhere"],
    shows: {
      'http_server_requests_total{app="shop",method="GET",route="/twice/:id",service="web",status="2xx"}': 1,
      'http_server_requests_total{app="shop",method="GET",route="/orders/:id",service="web",status="2xx"}': 2,
      'http_server_requests_total{app="shop",method="GET",route="(unmatched)",service="web",status="4xx"}': 1,
    },
  },
  "hono.ts": {
    ask: ["orders/7", "orders/8"],
    shows: {
      'http_server_requests_total{app="shop",method="GET",route="/orders/:id",service="web",status="2xx"}': 2,
    },
  },
};

/** A project that depends on microview, with an example in it. */
function projectWith(host: TestHost, file: string): string {
  const folder = join(host.folder, "project");
  mkdirSync(join(folder, "node_modules"), { recursive: true });
  for (const name of readdirSync(join(ROOT, "node_modules"))) {
    symlinkSync(join(ROOT, "node_modules", name), join(folder, "node_modules", name));
  }
  symlinkSync(ROOT, join(folder, "node_modules/microview"));
  copyFileSync(join(EXAMPLES, file), join(folder, file));
  return folder;
}

describe("an example", () => {
  test("is here, whichever there is", () => {
    const there = readdirSync(EXAMPLES).filter((name) => name !== "README.md");
    expect(Object.keys(SERVICES).sort()).toEqual(there.sort());
  });

  for (const [file, { ask, shows }] of Object.entries(SERVICES)) {
    test(`${file} counts what it is asked, and microview shows it`, async () => {
      await using host = new TestHost();
      const cwd = projectWith(host, file);
      await new BuiltAgent(host, { cwd }, "--process-metrics", "off").serves();
      const service = host.own(
        Bun.spawn([process.execPath, file], {
          cwd,
          env: {
            PORT: "0",
            MICROVIEW_SOCKET: host.socketPath,
            MICROVIEW_APP: "shop",
            MICROVIEW_SERVICE: "orders",
          },
          stdout: "pipe",
        }),
      );
      const url = await addressOf(service.stdout);
      for (const path of ask) await (await fetch(new URL(`/${path}`, url))).text();
      await until("microview shows what was counted", async () => {
        const look = ["collect", "--once", "--format", "prometheus", ...placeFlags(host)];
        const { stdout } = await new Program(host, look, { cwd }).ended();
        const values = new Map(
          [...parsePrometheus(stdout).values()].flatMap((f) => [...f.samples]),
        );
        const found = Object.fromEntries(Object.keys(shows).map((key) => [key, values.get(key)]));
        expect(found).toEqual(shows);
        return true;
      });
    });
  }
});

/** The address that a service says it listens on. */
async function addressOf(stdout: ReadableStream<Uint8Array>): Promise<string> {
  let text = "";
  for await (const chunk of stdout) {
    text += new TextDecoder().decode(chunk);
    const [, url] = /try (http:\S+)\n/.exec(text) ?? [];
    if (url !== undefined) return url;
  }
  throw new Error(`it said no address: ${text}`);
}
