// When a client's values lie where others read them: `ready` alone ends after some seconds without an agent, too.

import type { MicroView } from "../../src/client/index.ts";

/** Resolves when all series have their places, whenever an agent comes, or when the client is closed. */
export async function placed(mv: MicroView): Promise<void> {
  for (;;) {
    const { attached, reason } = await mv.ready;
    if (reason?.code === "closed" || (attached && reason?.code !== "no-agent")) return;
  }
}
