// Whose connection over loopback it is.

import { expect, test } from "bun:test";
import { userOfPeer } from "../../src/guard/peer-user.ts";

test.each(["127.0.0.1", "127.8.9.10", "::1"])(
  "the user at the other end is known on %s",
  async (hostname) => {
    let found: number | undefined;
    let elsewhere: number | undefined;
    const server = Bun.serve({
      ...{ hostname, port: 0 },
      fetch(request, listener) {
        const peer = listener.requestIP(request)!;
        found = userOfPeer(peer, listener.port!);
        elsewhere = userOfPeer({ ...peer, port: peer.port ^ 1 }, listener.port!);
        return new Response("");
      },
    });
    try {
      await fetch(server.url);
      expect(found).toBe(process.getuid!());
      expect(elsewhere).toBeUndefined();
    } finally {
      await server.stop(true);
    }
  },
);
