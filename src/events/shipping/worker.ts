// The agent's thread for events, so that shipping holds up nobody who asks the agent something. shipping.ts starts it.

import type { ProcessIdentity } from "../../layout/index.ts";
import { ShippingLoop } from "./loop.ts";
import type { FromShipper, Identify, ToShipper } from "./protocol.ts";

declare const self: Worker;

let loop: ShippingLoop | undefined;

function tell(message: FromShipper): void {
  self.postMessage(message);
}

const asked = new Map<number, (identity: ProcessIdentity | undefined) => void>();
let nextId = 1;

const identify: Identify = (pid) => {
  const { promise, resolve } = Promise.withResolvers<ProcessIdentity | undefined>();
  const id = nextId++;
  asked.set(id, resolve);
  tell({ kind: "who", id, pid });
  return promise;
};

self.onmessage = async ({ data }: MessageEvent<ToShipper>) => {
  switch (data.kind) {
    case "start":
      try {
        loop = new ShippingLoop(data.options, tell, identify);
        tell({ kind: "started" });
      } catch (error) {
        const { message, hint } = error as Error & { hint?: string };
        tell({ kind: "failed", message, ...(hint === undefined ? {} : { hint }) });
      }
      return;
    case "identity":
      asked.get(data.id)?.(data.identity);
      asked.delete(data.id);
      return;
    case "follow":
      tell({ kind: "followed", id: data.id, rings: loop?.follow(data.change) ?? 0 });
      return;
    case "stop":
      tell({ kind: "stopped", left: (await loop?.stop(data.graceMs)) ?? 0 });
  }
};
