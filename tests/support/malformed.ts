// Requests of HTTP that nobody who means well would send, in great numbers, over raw connections.

import { connect, type NetConnectOpts } from "node:net";

/** How many connections are open at once. */
const PARALLEL = 48;
/** Requests of one connection, sent without waiting for answers. */
const PIPELINED = 100;
/** How long a connection may say nothing before it is given up: half requests are waited for. */
const SILENCE_MS = { answered: 10_000, breaking: 50 };

/** Makes a request; `n` is another one each time. */
type Kind = (n: number) => string;

const NAMES = [
  "a b",
  "a/b",
  "u:p@h",
  "[::1",
  "localhost:99999",
  "\t",
  "%00",
  "é",
  "a?b#c",
  "<script>",
];

function head(line: string, ...headers: string[]): string {
  return `${[line, "Host: localhost", ...headers].join("\r\n")}\r\n\r\n`;
}

function body(type: string, text: string, ...headers: string[]): string {
  const length = `Content-Length: ${Buffer.byteLength(text, "latin1")}`;
  const line = "POST /v1/apps/shop/writers HTTP/1.1";
  return head(line, `Content-Type: ${type}`, length, ...headers) + text;
}

/** After which a server answers and goes on with the connection, or may. */
const ANSWERED: Record<string, Kind> = {
  "a bad host": (n) => `GET /metrics HTTP/1.1\r\nHost: ${NAMES[n % NAMES.length]}\r\n\r\n`,
  "no host": () => "GET /nowhere HTTP/1.1\r\nHost:\r\n\r\n",
  "two hosts": (n) => head("GET /health HTTP/1.1", `Host: h${n}`),
  "another method": (n) =>
    head(`${["PUT", "PATCH", "OPTIONS", "DELETE"][n % 4]} /metrics HTTP/1.1`),
  "a method to nowhere": (n) => head(`${["PUT", "OPTIONS"][n % 2]} /x${n} HTTP/1.1`),
  "an absolute target": (n) => head(`GET http://h${n}.example/nowhere HTTP/1.1`),
  "a target of dots": () => head("GET /v1/../../../etc/passwd HTTP/1.1"),
  "a target of slashes": (n) => head(`GET //h${n}//metrics HTTP/1.1`),
  "a fragment": (n) => head(`GET /health#${n} HTTP/1.1`),
  "wrong percents": (n) => head(`GET /v1/apps/%${n % 10}z%ff%00 HTTP/1.1`),
  "a wrong query": (n) => head(`GET /metrics?app=%zz&metric[=${n}&buckets=none HTTP/1.1`),
  "high bytes": () => head("GET /\xff\xfe\xc3\x28 HTTP/1.1"),
  "a long path": (n) => head(`GET /${"a".repeat(n % 8000)} HTTP/1.1`),
  "many headers": (n) =>
    head("GET /health HTTP/1.1", ...Array.from({ length: n % 60 }, (_, i) => `X-${i}: y`)),
  "an origin": (n) =>
    head("GET /health HTTP/1.1", `Origin: ${["null", "://", "http://e", "\x01"][n % 4]}`),
  "a wrong token": (n) => head("GET /health HTTP/1.1", `Authorization: Bearer guess-${n}`),
  "a wrong Accept": (n) =>
    head("GET /nowhere HTTP/1.1", `Accept: ;;q=,*/${n};q=9e9`, "Accept-Encoding: ,;q"),
  "no JSON": (n) => body("application/json", `{"a":${"[".repeat(n % 50)}`),
  "no UTF-8": () => body("application/json", '{"service":"\xff\xfe"}'),
  "another type": (n) => body(["text/plain", "multipart/form-data", "x", ""][n % 4]!, "a=b"),
  "another encoding": (n) =>
    body("application/json", "{}", `Content-Encoding: ${["gzip", "br", "x"][n % 3]}`),
  chunks: () =>
    `${head("POST /metrics HTTP/1.1", "Content-Type: application/json", "Transfer-Encoding: chunked")}2\r\n{}\r\n0\r\n\r\n`,
  "a body for nothing": (n) =>
    `${head("GET /nowhere HTTP/1.1", `Content-Length: ${n % 100}`)}${"x".repeat(n % 100)}`,
  "a WebSocket": (n) =>
    head(
      "GET /v1/rdma/session HTTP/1.1",
      ...["Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13"],
      `Sec-WebSocket-Key: ${n}`,
    ),
  "a WebSocket to nowhere": (n) =>
    head(`GET /ws${n} HTTP/1.1`, "Upgrade: h2c", "Connection: Upgrade"),
};

/** After which a server ends the connection, or waits for more. */
const BREAKING: Record<string, Kind> = {
  "HTTP/1.0 without a host": () => "GET /nowhere HTTP/1.0\r\n\r\n",
  "HTTP/1.1 without a host": () => "GET /health HTTP/1.1\r\n\r\n",
  "another version": (n) => `GET / HTTP/${n % 10}.9\r\nHost: localhost\r\n\r\n`,
  "no request": (n) => `${"\x16\x03\x01\0".repeat(1 + (n % 50))}\r\n\r\n`,
  zeroes: (n) => `GET /${"\0".repeat(1 + (n % 9))} HTTP/1.1\r\nHost: localhost\r\n\r\n`,
  "zeroes in a header": () => head("GET /health HTTP/1.1", "X: a\0b"),
  "an unknown method": () => head("FOO /health HTTP/1.1"),
  CONNECT: () => head("CONNECT a:1 HTTP/1.1"),
  "a star": () => head("OPTIONS * HTTP/1.1"),
  "a relative target": () => head("GET health HTTP/1.1"),
  "a header that is too long": (n) => head("GET /health HTTP/1.1", `X: ${"a".repeat(20_000 + n)}`),
  "a wrong length": (n) =>
    head("POST /metrics HTTP/1.1", `Content-Length: ${["-1", "abc", "1e9", ""][n % 4]}`),
  "two lengths": () => head("POST /metrics HTTP/1.1", "Content-Length: 1", "Content-Length: 2"),
  "a length and chunks": () =>
    head("POST /metrics HTTP/1.1", "Content-Length: 3", "Transfer-Encoding: chunked"),
  "wrong chunks": () => `${head("POST /metrics HTTP/1.1", "Transfer-Encoding: chunked")}zz\r\nab`,
  "a huge chunk": () =>
    `${head("POST /metrics HTTP/1.1", "Transfer-Encoding: chunked")}ffffffffffffffff\r\n`,
  "half a request": (n) => head("GET /metrics HTTP/1.1").slice(0, 1 + (n % 40)),
  "half a body": () =>
    head("POST /metrics HTTP/1.1", "Content-Type: application/json", "Content-Length: 99"),
  "headers without a name": () => head("GET /health HTTP/1.1", ": x", " folded"),
};

export interface Flooded {
  sent: number;
  /** Answers of the server's own by status: those of what serves it under the hood have no type. */
  answers: Map<string, number>;
}

/** Sends so many requests of all kinds, or a little more, and takes what is answered. */
export async function flood(where: NetConnectOpts, count: number): Promise<Flooded> {
  const flooded: Flooded = { sent: 0, answers: new Map() };
  const kinds = [
    ...Object.values(ANSWERED).map((kind) => ({
      kind,
      atOnce: PIPELINED,
      silenceMs: SILENCE_MS.answered,
    })),
    ...Object.values(BREAKING).map((kind) => ({
      kind,
      atOnce: 1,
      silenceMs: SILENCE_MS.breaking,
    })),
  ];
  let next = 0;
  const worker = async () => {
    while (flooded.sent < count) {
      const n = next++;
      const { kind, atOnce, silenceMs } = kinds[n % kinds.length]!;
      const requests = Array.from({ length: atOnce }, (_, i) => kind(n + i * 7));
      flooded.sent += requests.length;
      const bytes = Buffer.from(requests.join(""), "latin1");
      const text = await exchange(where, bytes, requests.length, silenceMs);
      for (const [, status, headers] of text.matchAll(ANSWER)) {
        if (!/^content-type:/im.test(headers!)) continue;
        flooded.answers.set(status!, (flooded.answers.get(status!) ?? 0) + 1);
      }
    }
  };
  await Promise.all(Array.from({ length: PARALLEL }, worker));
  return flooded;
}

const ANSWER = /HTTP\/1\.1 (\d{3}) [^\r\n]*\r\n((?:[^\r\n]+\r\n)*)\r\n/g;

/** What is answered until all is, or the connection ends, or nothing comes any more. */
function exchange(
  where: NetConnectOpts,
  bytes: Buffer,
  expected: number,
  silenceMs: number,
): Promise<string> {
  return new Promise((resolve) => {
    const pieces: Buffer[] = [];
    let heads = 0;
    const socket = connect(where);
    socket.setTimeout(silenceMs, () => socket.destroy());
    socket.on("error", () => {});
    socket.on("close", () => resolve(Buffer.concat(pieces).toString("latin1")));
    socket.on("data", (piece: Buffer) => {
      pieces.push(piece);
      heads += piece.toString("latin1").split("HTTP/1.1 ").length - 1;
      // The last one may have a body that follows; nobody needs it.
      if (heads >= expected) socket.end();
    });
    socket.write(bytes);
  });
}
