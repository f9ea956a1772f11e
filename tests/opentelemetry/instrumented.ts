// A program that is instrumented by one of OpenTelemetry's packages, the first argument, and records with our provider.
// Packages are named only when they are needed, after the instrumentation, as a program's preload does it.

import { context, trace } from "@opentelemetry/api";
import { ContextManager, TracerProvider } from "../../src/opentelemetry/index.ts";

const provider = new TracerProvider({ app: "shop", service: "auth" });
trace.setGlobalTracerProvider(provider);
context.setGlobalContextManager(new ContextManager());

// biome-ignore lint/suspicious/noExplicitAny: packages that the compiler need not know
const load = (name: string): any => require(name);
const instrument = (name: string, Class: string, options = {}) =>
  new (load(`@opentelemetry/instrumentation-${name}`)[Class])(options).enable();

/** Asks a server of node:http once. */
// biome-ignore lint/suspicious/noExplicitAny: a server of whichever framework
async function askOnce(server: any, path: string): Promise<void> {
  if (!server.listening) await new Promise((resolve) => server.once("listening", resolve));
  await (await fetch(`http://127.0.0.1:${server.address().port}${path}`)).text();
  await new Promise((resolve) => server.close(resolve));
}

const PROGRAMS: Readonly<Record<string, () => Promise<void>>> = {
  async http() {
    instrument("http", "HttpInstrumentation");
    const http = load("node:http");
    // biome-ignore lint/suspicious/noExplicitAny: as above
    const server = http.createServer((_: any, answer: any) => answer.end("fine"));
    await new Promise<void>((resolve) => server.listen(0, resolve));
    await new Promise<void>((resolve) => {
      // biome-ignore lint/suspicious/noExplicitAny: as above
      http.get({ port: server.address().port, path: "/own" }, (answer: any) => {
        answer.resume();
        answer.on("end", resolve);
      });
    });
    await new Promise((resolve) => server.close(resolve));
  },
  async undici() {
    instrument("undici", "UndiciInstrumentation");
    const server = Bun.serve({ port: 0, fetch: () => new Response("fine") });
    await (await fetch(server.url)).text();
    await server.stop(true);
  },
  async express() {
    instrument("http", "HttpInstrumentation");
    instrument("express", "ExpressInstrumentation");
    const app = load("express")();
    // biome-ignore lint/suspicious/noExplicitAny: as above
    app.get("/orders/:id", (_: any, answer: any) => answer.send("fine"));
    await askOnce(app.listen(0), "/orders/7");
  },
  async koa() {
    instrument("http", "HttpInstrumentation");
    instrument("koa", "KoaInstrumentation");
    const app = new (load("koa"))();
    app.use(async function answers(ctx: { body: string }) {
      ctx.body = "fine";
    });
    await askOnce(app.listen(0), "/");
  },
  async graphql() {
    instrument("graphql", "GraphQLInstrumentation");
    const { buildSchema, graphql } = load("graphql");
    const schema = buildSchema("type Query { name: String }");
    await graphql({ schema, source: "{ name }", rootValue: { name: "ann" } });
  },
  async fs() {
    instrument("fs", "FsInstrumentation");
    await load("node:fs").promises.readFile(import.meta.path);
  },
  async net() {
    instrument("net", "NetInstrumentation");
    const net = load("node:net");
    const server = net.createServer((socket: { end(): void }) => socket.end());
    await new Promise<void>((resolve) => server.listen(0, resolve));
    const socket = net.connect(server.address().port);
    await new Promise((resolve) => socket.on("close", resolve));
    server.close();
  },
  async dns() {
    instrument("dns", "DnsInstrumentation");
    await load("node:dns").promises.lookup("localhost");
  },
  async pg() {
    instrument("pg", "PgInstrumentation");
    const client = new (load("pg").Client)({ host: "127.0.0.1", port: 1 });
    // Nobody answers there: that it was tried is a span that failed.
    await client.connect().catch(() => {});
  },
  async pino() {
    instrument("pino", "PinoInstrumentation");
    let line = "";
    const write = (text: string) => {
      line = text;
    };
    const log = load("pino")({}, { write });
    trace.getTracer("program").startActiveSpan("request", (span) => {
      log.info("within");
      span.end();
      const { traceId, spanId } = span.spanContext();
      const { trace_id, span_id } = JSON.parse(line);
      if (trace_id !== traceId || span_id !== spanId) throw new Error(line);
    });
  },
};

await PROGRAMS[process.argv[2]!]!();
await Bun.sleep(10);
await provider.shutdown();
process.exit(0);
