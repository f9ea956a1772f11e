// What an agent's thread for events does, in the thread of a test.

import { join } from "node:path";
import { ShippingLoop } from "../../../src/events/shipping/loop.ts";
import type {
  FromShipper,
  ShippingOptions,
  ShippingStatus,
} from "../../../src/events/shipping/protocol.ts";
import type { TestHost } from "../../support/host.ts";

/** What ships, in this thread, and what it says. */
export function shipping(host: TestHost, lake: string, options: Partial<ShippingOptions> = {}) {
  const said: string[] = [];
  let status: ShippingStatus | undefined;
  const loop = new ShippingLoop(
    {
      lake,
      spool: join(host.folder, "spool"),
      spoolBytes: 64 << 20,
      spoolAgeMs: 3_600_000,
      poolDir: host.poolDir,
      host: "here",
      isForAll: false,
      backoffMs: { first: 5, last: 20 },
      ...options,
    },
    (message: FromShipper) => {
      if (message.kind === "log") said.push(message.message);
      else if (message.kind === "status") status = message.status;
    },
    async () => undefined,
  );
  host.onEnd(() => loop.stop(0));
  return { loop, said, status: () => status };
}
