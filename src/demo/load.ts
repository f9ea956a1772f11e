// The demo's load: an open loop of requests that ebbs and flows around a rate, on loopback, bounded by its in-flight limit.

import { proxyOption } from "../http/index.ts";

const TICK_MS = 10;
/** When the services do not keep up, requests are left out rather than piled up. */
const MAX_IN_FLIGHT = 64;

/** The rate swings by this share around its mean, so that the view has something to show. */
const SWING = 0.6;
const SWING_PERIOD_MS = 8_000;

/**
 * How many requests should have been sent after a time: the integral of a rate that swings as a cosine. At each half of
 * a period it is what the rate alone would make, so that also a short demo shows the rate that was asked for.
 */
export function requestsDue(elapsedMs: number, requestsPerSecond: number): number {
  const periods = elapsedMs / SWING_PERIOD_MS;
  const swungMs = ((SWING * SWING_PERIOD_MS) / (2 * Math.PI)) * Math.sin(2 * Math.PI * periods);
  return ((elapsedMs + swungMs) / 1000) * requestsPerSecond;
}

/** Sends requests to the gateway until stopped. */
export function startLoad(gatewayUrl: string, requestsPerSecond: number): { stop(): void } {
  let sent = 0;
  let inFlight = 0;
  const send = async () => {
    inFlight++;
    const user = `user-${sent % 97}`;
    const items = 1 + (sent % 7);
    sent++;
    try {
      const url = `${gatewayUrl}/buy/${user}/${items}`;
      await (await fetch(url, { method: "POST", ...proxyOption(url) })).arrayBuffer();
    } catch {
      // The gateway is ending.
    } finally {
      inFlight--;
    }
  };
  const startedAt = performance.now();
  const timer = setInterval(() => {
    const due = requestsDue(performance.now() - startedAt, requestsPerSecond);
    while (sent < due && inFlight < MAX_IN_FLIGHT) void send();
    // What could not be sent is not owed.
    if (sent < due) sent = Math.floor(due);
  }, TICK_MS);
  return { stop: () => clearInterval(timer) };
}
