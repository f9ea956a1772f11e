// The demo's load: an open loop of requests that ebbs and flows around a rate, on loopback, bounded by its in-flight limit.

import { proxyOption } from "../http/index.ts";

const TICK_MS = 10;
/** When the services do not keep up, requests are left out rather than piled up. */
const MAX_IN_FLIGHT = 64;

/** The rate swings by this share around its mean, so that the view has something to show. */
const SWING = 0.6;
const SWING_PERIOD_MS = 8_000;

/** Sends requests to the gateway until stopped. */
export function startLoad(gatewayUrl: string, requestsPerSecond: number): { stop(): void } {
  let due = 0;
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
  let last = performance.now();
  const timer = setInterval(() => {
    const now = performance.now();
    const swing = 1 + SWING * Math.sin((2 * Math.PI * now) / SWING_PERIOD_MS);
    due += ((now - last) / 1000) * requestsPerSecond * swing;
    last = now;
    while (sent < due && inFlight < MAX_IN_FLIGHT) void send();
    // What could not be sent is not owed.
    if (sent < due) sent = Math.floor(due);
  }, TICK_MS);
  return { stop: () => clearInterval(timer) };
}
