// The client's own HTTP: what it sends and takes, and that it does not keep a process from ending.

import { describe, expect, test } from "bun:test";
import { createServer, type Server, type Socket } from "node:net";
import { join } from "node:path";
import { requestUnix, type UnixRequest } from "../../src/client/unix-http.ts";
import { ROOT, TestHost } from "../support/host.ts";
import { surroundings } from "../support/surroundings.ts";

const REQUEST = { method: "GET", path: "/x", timeoutMs: 10_000, holdMs: 10_000 };
const CLIENT = JSON.stringify(join(ROOT, "src/client/index.ts"));

/** A server on a host's socket that does with each connection what it is told. */
class Listener implements AsyncDisposable {
  readonly path: string;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(path: string, connected: (socket: Socket) => void) {
    this.path = path;
    this.#server = createServer((socket) => {
      this.#sockets.add(socket);
      socket.on("error", () => {});
      connected(socket);
    });
  }

  static async on(path: string, connected: (socket: Socket) => void): Promise<Listener> {
    const listener = new Listener(path, connected);
    await new Promise<void>((resolve) => listener.#server.listen(path, resolve));
    return listener;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

/** What a request gives when the server writes pieces, and then goes. */
async function answered(pieces: string[], request: Partial<UnixRequest> = {}) {
  await using host = new TestHost();
  await using server = await Listener.on(host.socketPath, (socket) => {
    socket.once("data", async () => {
      for (const piece of pieces) {
        socket.write(piece);
        await Bun.sleep(1);
      }
      socket.end();
    });
  });
  return await requestUnix(server.path, { ...REQUEST, ...request });
}

describe("a request to a Unix socket", () => {
  test("carries a body both ways, of any size and in any language", async () => {
    await using host = new TestHost();
    const server = Bun.serve({
      unix: host.socketPath,
      fetch: async (request) => {
        const { pathname } = new URL(request.url);
        const type = request.headers.get("content-type");
        return new Response(`${request.method} ${pathname} ${type} ${await request.text()}`, {
          status: 201,
        });
      },
    });
    try {
      const body = "größer ".repeat(1_000_000);
      const response = await requestUnix(host.socketPath, { ...REQUEST, method: "POST", body });
      expect(response.status).toBe(201);
      expect(response.body === `POST /x application/json ${body}`).toBe(true);
    } finally {
      await server.stop(true);
    }
  });

  test("takes an answer in pieces", async () => {
    const pieces = [
      "HTTP/1.1 404 Not",
      " Found\r\nContent-",
      "Length: 4\r\n\r",
      "\nö",
      "ab",
      "beyond",
    ];
    expect(await answered(pieces)).toEqual({ status: 404, body: "öab" });
  });

  test("fails when the server goes before it has answered", async () => {
    for (const pieces of [
      [],
      ["HTTP/1.1 200 OK\r\n"],
      ["HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\na"],
    ]) {
      await expect(answered(pieces)).rejects.toMatchObject({ code: "ConnectionClosed" });
    }
  });

  test("fails for an answer that is none, has no length, no end, or is too long", async () => {
    const wrong = [
      "220 mail.example.com ESMTP\r\n\r\n",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
      `HTTP/1.1 200 OK\r\nX: ${"x".repeat(20_000)}`,
      "HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n",
    ];
    for (const text of wrong) {
      await expect(answered([text])).rejects.toThrow("does not answer as an agent does");
    }
  });

  test("is given up in time", async () => {
    await using host = new TestHost();
    await using server = await Listener.on(host.socketPath, () => {});
    const waiting = requestUnix(server.path, { ...REQUEST, timeoutMs: 20 });
    await expect(waiting).rejects.toMatchObject({ name: "TimeoutError" });
  });

  test("names the socket that it cannot connect to", async () => {
    await using host = new TestHost();
    const error = await requestUnix(host.socketPath, REQUEST).catch((error) => error);
    expect(error).toMatchObject({
      code: "ENOENT",
      message: `cannot connect to ${host.socketPath}: ENOENT`,
    });
  });
});

describe("with an agent that hangs", () => {
  /** Runs a program against a socket where it is accepted and no more, or let through to an agent later. */
  async function run(host: TestHost, socket: string, code: string) {
    const file = join(host.folder, "program.ts");
    await Bun.write(
      file,
      `import { MicroView } from ${CLIENT};
       const client = new MicroView({ app: "shop", service: "auth", socket: ${JSON.stringify(socket)} });
       client.counter("requests_total").inc();
       ${code}`,
    );
    const child = host.own(
      Bun.spawn([process.execPath, file], {
        env: surroundings(),
        stdin: "ignore",
        stdout: "pipe",
        stderr: "inherit",
      }),
    );
    const stdout = await new Response(child.stdout).text();
    return { stdout, exitCode: await child.exited };
  }

  test("a program that is done ends, and does not wait for it", async () => {
    await using host = new TestHost();
    await using hung = await Listener.on(host.socketPath, () => {});
    const result = await run(
      host,
      hung.path,
      `client.onReady(() => console.log("ready"));
       const start = performance.now();
       process.on("exit", () => console.log(performance.now() - start < 4_500));
       console.log("done");`,
    );
    // A request is given up after 5 s.
    expect(result).toEqual({ stdout: "done\ntrue\n", exitCode: 0 });
  });

  test("a program that awaits its readiness is kept until a late answer", async () => {
    await using host = new TestHost();
    await host.agent();
    await using slow = await Listener.on(join(host.folder, "slow.sock"), (socket) => {
      const from = new Promise<Buffer>((resolve) => socket.once("data", resolve));
      setTimeout(async () => {
        const agent = await Bun.connect({
          unix: host.socketPath,
          socket: {
            data: (_, bytes) => void socket.write(Buffer.from(bytes)),
            close: () => void socket.end(),
          },
        });
        agent.write(await from);
      }, 400);
    });
    const result = await run(
      host,
      slow.path,
      `const program = async () => {
         await client.ready;
         console.log(client.attached);
         await client.close();
       };
       void program();`,
    );
    expect(result).toMatchObject({ stdout: "true\n", exitCode: 0 });
  });
});
