// The demo's load: an open loop of requests at a constant rate, on loopback, bounded by its in-flight limit.

const TICK_MS = 10;
/** When the services do not keep up, requests are left out rather than piled up. */
const MAX_IN_FLIGHT = 64;

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
      await (await fetch(`${gatewayUrl}/buy/${user}/${items}`, { method: "POST" })).arrayBuffer();
    } catch {
      // The gateway is ending.
    } finally {
      inFlight--;
    }
  };
  const startedAt = performance.now();
  const timer = setInterval(() => {
    due = ((performance.now() - startedAt) / 1000) * requestsPerSecond;
    while (sent < due && inFlight < MAX_IN_FLIGHT) void send();
    // What could not be sent is not owed.
    if (sent < due) sent = Math.floor(due);
  }, TICK_MS);
  return { stop: () => clearInterval(timer) };
}
