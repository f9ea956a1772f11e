// The tunnel between TLS and plain TCP: what one side says reaches the other side, all of it, and nobody else.

import { describe, expect, test } from "bun:test";
import { connect as connectPlain, createServer, type Server, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { startTunnel } from "../../src/guard/tunnel.ts";
import { selfSigned } from "../support/certificates.ts";
import { until } from "../support/wait.ts";

const BACKEND_ADDRESS = "127.0.0.1";

/** A server that does with its connections what a test wants. */
async function backend(take: (socket: Socket) => void): Promise<{ server: Server; port: number }> {
  const server = createServer((socket) => {
    socket.on("error", () => {});
    take(socket);
  }).listen(0, BACKEND_ADDRESS);
  await until("it listens", () => server.listening);
  return { server, port: (server.address() as { port: number }).port };
}

/** What a connection is told first, after it has said something at once. */
async function told(socket: Socket, said: string): Promise<string> {
  const answer = await new Promise<string>((resolve) => {
    socket.once("data", (bytes) => resolve(`${bytes}`));
    socket.once("error", (error) => resolve(error.message));
    socket.once("close", () => resolve("nothing"));
    socket.write(said);
  });
  socket.destroy();
  return answer;
}

describe.each([false, true])("a tunnel, TLS on its far side: %p", (isFar) => {
  test("answers nobody with his own words, however early they come", async () => {
    const tls = selfSigned();
    const { server, port } = await backend((socket) => {
      socket.once("data", (bytes) => socket.end(`you said ${bytes}`));
    });
    // One tunnel that takes TLS, and for the other case one before it that speaks it.
    const near = startTunnel(
      { hostname: BACKEND_ADDRESS, port: 0, tls },
      { hostname: BACKEND_ADDRESS, port },
    );
    const far = startTunnel(
      { hostname: BACKEND_ADDRESS, port: 0 },
      {
        hostname: BACKEND_ADDRESS,
        port: near.port,
        tls: { ca: tls.cert, serverName: "localhost", rejectUnauthorized: true },
      },
    );
    const open = () =>
      isFar
        ? connectPlain(far.port, BACKEND_ADDRESS)
        : connectTls({
            host: BACKEND_ADDRESS,
            port: near.port,
            ca: tls.cert,
            servername: "localhost",
          });
    for (let round = 0; round < 20; round++) {
      const answers = await Promise.all(
        Array.from({ length: 10 }, (_, i) => told(open(), `hello ${round} ${i}`)),
      );
      expect(answers).toEqual(Array.from({ length: 10 }, (_, i) => `you said hello ${round} ${i}`));
    }
    near.stop();
    far.stop();
    server.close();
  });
});

test("a tunnel lets go of the far side when the near one left before it was reached", async () => {
  let [opened, closed] = [0, 0];
  const { server, port } = await backend((socket) => {
    opened++;
    socket.resume();
    socket.on("close", () => closed++);
  });
  const tunnel = startTunnel(
    { hostname: BACKEND_ADDRESS, port: 0 },
    // To be looked up first, which takes longer than to leave.
    { hostname: "localhost", port },
  );
  const sockets = Array.from({ length: 200 }, () => {
    const socket = connectPlain(tunnel.port, BACKEND_ADDRESS);
    socket.on("error", () => {});
    return socket.once("connect", () => socket.destroy());
  });
  await until("all have left", () => sockets.every(({ closed }) => closed));
  await until("nobody is held", () => opened > 0 && closed === opened, 5_000);
  tunnel.stop();
  server.close();
});

test("a tunnel carries much, both ways, and closes only when all of it is out", async () => {
  const much = Buffer.alloc(8 << 20, "0123456789abcdef");
  const { server, port } = await backend((socket) => {
    const parts: Buffer[] = [];
    socket.on("data", (bytes: Buffer) => {
      parts.push(bytes);
      if (parts.reduce((sum, { length }) => sum + length, 0) === much.length) {
        socket.end(Buffer.concat(parts));
      }
    });
  });
  const tunnel = startTunnel(
    { hostname: BACKEND_ADDRESS, port: 0 },
    { hostname: BACKEND_ADDRESS, port },
  );
  const socket = connectPlain(tunnel.port, BACKEND_ADDRESS);
  const parts: Buffer[] = [];
  socket.on("data", (bytes: Buffer) => parts.push(bytes));
  socket.write(much);
  await until("it is closed", () => socket.closed);
  expect(Buffer.concat(parts).equals(much)).toBe(true);
  tunnel.stop();
  server.close();
});

test.each([false, true])(
  "a tunnel makes the sender wait for a reader that does not read, and buffers nothing more; TLS: %p",
  async (isTls) => {
    const tls = selfSigned();
    const chunk = Buffer.alloc(1 << 20, "0123456789abcdef");
    const chunks = 96;
    let sent = 0;
    const { server, port } = await backend((socket) => {
      const more = () => {
        while (sent < chunks) {
          sent++;
          if (!socket.write(chunk)) return;
        }
        socket.end();
      };
      socket.on("drain", more);
      more();
    });
    const tunnel = startTunnel(
      { hostname: BACKEND_ADDRESS, port: 0, ...(isTls ? { tls } : {}) },
      { hostname: BACKEND_ADDRESS, port },
    );
    const socket = isTls
      ? connectTls({
          host: BACKEND_ADDRESS,
          port: tunnel.port,
          ca: tls.cert,
          servername: "localhost",
        })
      : connectPlain(tunnel.port, BACKEND_ADDRESS);
    socket.pause();
    await until("something is on its way", () => sent > 0);
    // What the kernel's buffers take on the way is sent; then nothing moves any more.
    let before = -1;
    await until("the sender waits", async () => {
      if (before === sent) return true;
      before = sent;
      await Bun.sleep(300);
      return false;
    });
    expect(sent).toBeLessThan(chunks / 2);
    let received = 0;
    let isRight = true;
    socket.on("data", (bytes: Buffer) => {
      isRight &&= bytes[0] === chunk[received % 16];
      received += bytes.length;
    });
    socket.resume();
    await until("all has come", () => received === chunks * chunk.length);
    expect(isRight).toBe(true);
    await until("it is closed", () => socket.closed || socket.readableEnded);
    socket.destroy();
    tunnel.stop();
    server.close();
  },
);
