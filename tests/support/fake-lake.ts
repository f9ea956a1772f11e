// A lake of a test's own: it says what the test gives it, and remembers what it was asked.

import type { TestHost } from "./host.ts";

export interface Asked {
  sql: string;
  from?: string;
  to?: string;
  format: string;
  authorization: string | null;
  /** Whoever asked has gone before the end. */
  isLeft: boolean;
}

/** What is answered: a text or bytes, lines of NDJSON, a whole response, or nothing for ever. */
export type Said =
  | string
  | Uint8Array
  | readonly unknown[]
  | Response
  | AsyncIterable<string>
  | "hang";

export const TABLES = [
  {
    name: "log_entries",
    columns: [
      { name: "time", type: "TIMESTAMP WITH TIME ZONE" },
      { name: "service", type: "VARCHAR" },
      { name: "level", type: "VARCHAR" },
      { name: "message", type: "VARCHAR" },
    ],
  },
  {
    name: "spans",
    columns: [
      { name: "trace_id", type: "VARCHAR" },
      { name: "duration_ms", type: "DOUBLE" },
    ],
  },
];

export class FakeLake {
  readonly asked: Asked[] = [];
  readonly url: string;

  /** @param say answers a question by its SQL */
  constructor(host: TestHost, say: (sql: string, asked: Asked) => Said) {
    const server = Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      idleTimeout: 0,
      fetch: async (request) => {
        const { pathname } = new URL(request.url);
        if (pathname === "/v1/tables") return Response.json({ tables: TABLES });
        if (pathname !== "/v1/query") return new Response("not found", { status: 404 });
        const body = (await request.json()) as Omit<Asked, "authorization" | "isLeft">;
        const authorization = request.headers.get("authorization");
        const asked: Asked = { ...body, authorization, isLeft: false };
        this.asked.push(asked);
        request.signal.addEventListener("abort", () => {
          asked.isLeft = true;
        });
        return responseOf(say(body.sql, asked));
      },
    });
    this.url = `http://127.0.0.1:${server.port}`;
    host.onEnd(() => server.stop(true));
  }
}

function responseOf(said: Said): Response {
  if (said instanceof Response) return said;
  if (said === "hang") {
    // Headers and columns come, and nothing more.
    return new Response(
      new ReadableStream({
        start: (controller) => controller.enqueue(new TextEncoder().encode('{"columns":[]}\n')),
      }),
    );
  }
  if (typeof said === "string" || said instanceof Uint8Array) return new Response(said as string);
  if (Array.isArray(said)) return new Response(ndjson(said));
  const lines = (said as AsyncIterable<string>)[Symbol.asyncIterator]();
  return new Response(
    new ReadableStream({
      async pull(controller) {
        const { value, done } = await lines.next();
        if (done) controller.close();
        else controller.enqueue(new TextEncoder().encode(value));
      },
    }),
  );
}

/** Lines of NDJSON. */
export function ndjson(lines: readonly unknown[]): string {
  return lines.map((line) => `${JSON.stringify(line)}\n`).join("");
}

/** A whole answer of columns with types, and rows. */
export function answer(
  columns: Readonly<Record<string, string>>,
  rows: readonly (readonly unknown[])[],
): unknown[] {
  return [
    { columns: Object.entries(columns).map(([name, type]) => ({ name, type })) },
    ...rows,
    { end: { rows: rows.length, ms: 12, files: 2 } },
  ];
}
