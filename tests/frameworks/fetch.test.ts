// The wrapper of fetch(): what it counts of real requests, and how few its label values are.

import { describe, expect, test } from "bun:test";
import { type FetchOptions, microview } from "../../src/frameworks/fetch.ts";
import { MeasuredHost, serve } from "./measured.ts";

const REQUESTS = "http_client_requests_total";
const ERRORS = "http_client_request_errors_total";
const IN_FLIGHT = "http_client_requests_in_flight";
const DURATION = "http_client_request_duration_seconds";

/** Answers at once with the status that its path names; /slow never. */
function anyServer(): { origin: string; host: string } {
  const origin = serve((request) => {
    const { pathname } = new URL(request.url);
    if (pathname === "/slow") return new Promise<Response>(() => {});
    return new Response("here", { status: Number(pathname.slice(1) || 200) });
  });
  return { origin, host: new URL(origin).host };
}

function measured(host: MeasuredHost, more: Partial<FetchOptions> = {}): typeof fetch {
  return microview({ ...host.options, ...more } as FetchOptions);
}

describe("microview/fetch", () => {
  test("counts by host and method, however a request is written", async () => {
    await using host = await MeasuredHost.start();
    const fetch = measured(host);
    const server = anyServer();
    expect(await (await fetch(`${server.origin}/200?a=b`)).text()).toBe("here");
    await fetch(new URL(`${server.origin}/201`));
    await fetch(new Request(`${server.origin}/204`));
    await fetch(`${server.origin}/200`, { method: "post", body: "x" });
    await fetch(new Request(server.origin, { method: "POST" }));
    await fetch(`http://user:secret@${server.host}#x`);
    await host.becomes(4, REQUESTS, { method: "GET", host: server.host, status: "2xx" });
    await host.becomes(2, REQUESTS, { method: "POST", host: server.host, status: "2xx" });
    expect(host.labelValues(REQUESTS, "host")).toEqual([server.host]);
    expect(host.count(DURATION, { method: "GET", host: server.host })).toBe(4);
    await host.becomes(0, IN_FLIGHT, { method: "GET", host: server.host });
  });

  test("tells why a request failed", async () => {
    await using host = await MeasuredHost.start();
    const fetch = measured(host);
    const server = anyServer();
    const labels = { method: "GET", host: server.host };
    await fetch(`${server.origin}/404`);
    await fetch(`${server.origin}/503`);
    await host.becomes(2, ERRORS, { ...labels, reason: "status" });
    const slow = (signal: AbortSignal) => fetch(`${server.origin}/slow`, { signal }).catch(String);
    await slow(AbortSignal.timeout(10));
    await host.becomes(1, ERRORS, { ...labels, reason: "timeout" });
    const abort = new AbortController();
    const answer = slow(abort.signal);
    await host.becomes(1, IN_FLIGHT, labels);
    abort.abort(new Error("not needed any more"));
    expect(await answer).toContain("not needed any more");
    await host.becomes(1, ERRORS, { ...labels, reason: "aborted" });
    await host.becomes(2, REQUESTS, { ...labels, status: "none" });
    await host.becomes(0, IN_FLIGHT, labels);
  });

  test("passes on what fetch() throws, and counts it", async () => {
    await using host = await MeasuredHost.start();
    const fetch = measured(host);
    const { host: closed } = new URL(serve(() => new Response()));
    const server = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: () => new Response() });
    const { origin } = server.url;
    await server.stop(true);
    expect(fetch(origin)).rejects.toThrow();
    expect(fetch("not a URL")).rejects.toThrow();
    await host.becomes(1, ERRORS, {
      method: "GET",
      host: new URL(origin).host,
      reason: "network",
    });
    await host.becomes(1, ERRORS, { method: "GET", host: "(none)", reason: "network" });
    expect(host.labelValues(REQUESTS, "host")).not.toContain(closed);
  });

  test("shares one value between the hosts above the limit", async () => {
    await using host = await MeasuredHost.start();
    const fake = Object.assign(async () => new Response("here"), { preconnect: fetch.preconnect });
    const measuredFetch = measured(host, { maxHosts: 3, fetch: fake });
    for (let i = 0; i < 2000; i++) await measuredFetch(`http://host-${i}.example/`);
    await host.becomes(1, REQUESTS, { method: "GET", host: "host-0.example", status: "2xx" });
    await host.becomes(1997, REQUESTS, { method: "GET", host: "(other)", status: "2xx" });
    expect(host.labelValues(REQUESTS, "host")).toHaveLength(4);
  });

  test("asks where there is no agent", async () => {
    const fetch = microview({ app: "shop", service: "web", socket: "/nonexistent/agent.sock" });
    const server = anyServer();
    expect(await (await fetch(server.origin)).text()).toBe("here");
  });
});
