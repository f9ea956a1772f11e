// The agent's thread for events, so that shipping holds up nobody who asks the agent something. shipping.ts starts it.

import { ShippingLoop } from "./loop.ts";
import type { FromShipper, ToShipper } from "./protocol.ts";

declare const self: Worker;

let loop: ShippingLoop | undefined;

function tell(message: FromShipper): void {
  self.postMessage(message);
}

self.onmessage = async ({ data }: MessageEvent<ToShipper>) => {
  switch (data.kind) {
    case "start":
      try {
        loop = new ShippingLoop(data.options, tell);
        tell({ kind: "started" });
      } catch (error) {
        tell({ kind: "failed", message: (error as Error).message });
      }
      return;
    case "follow":
      tell({ kind: "followed", id: data.id, rings: loop?.follow(data.change) ?? 0 });
      return;
    case "stop":
      tell({ kind: "stopped", left: (await loop?.stop(data.graceMs)) ?? 0 });
  }
};
