// What the binary read protocol adds to the network: reads of 4 KB and 64 KB over loopback, beside a pair of C programs
// that do nothing else.
//
// Ours is a collector's transport in this process and the data plane of an agent in another: a request of one range,
// poll, the response. The C pair is a client and a server thread on blocking sockets with TCP_NODELAY, a request and
// a response of the same sizes, one send and as few receives as the kernel makes of it. Both pairs are pinned alike, once
// to one processor, where a read costs two switches, and once to two, where it costs two wake-ups of an idle one.

import { cpus } from "node:os";
import { type ByteRange, TcpTransport } from "../src/collector/index.ts";
import { allocateBuffer } from "../src/ffi/index.ts";
import {
  decodeHeader,
  HEADER_BYTES_USED,
  PAGE_HEADER_BYTES,
  pageOffset,
  RANGE_BYTES,
  REQUEST_BYTES,
  RESPONSE_BYTES,
  SLOTS_PER_PAGE,
} from "../src/layout/index.ts";
import { pinProcess, pinThisThread, unpinThisThread } from "./lib/affinity.ts";
import { startAgent } from "./lib/agent.ts";
import type { Bench } from "./lib/bench.ts";
import { compileC } from "./lib/compile.ts";
import { writeDensePool } from "./lib/dense-pool.ts";
import { alternate, type Work } from "./lib/measure.ts";
import { Connection } from "./lib/reader.ts";
import { type Row, row, within } from "./lib/report.ts";
import type { Samples } from "./lib/samples.ts";
import type { Scratch } from "./lib/scratch.ts";

const SIZES = [
  { name: "4 KB", bytes: 4 << 10, limit: 1.6 },
  { name: "64 KB", bytes: 64 << 10, limit: 1.7 },
] as const;
const PAGES = 16;
const CLIENT_PROCESSOR = 0;
const PLACEMENTS = [
  { placement: "one processor", server: 0 },
  ...(cpus().length > 1 ? [{ placement: "two processors", server: 1 }] : []),
];
const REQUEST = REQUEST_BYTES + RANGE_BYTES;
const C = "C, blocking";

const bench: Bench = {
  summary: "µs per read of 4 KB and 64 KB over loopback; a C client and server on blocking sockets",
  async run({ quick, scratch, progress }) {
    const poolDir = scratch.folder("memory");
    writeDensePool(poolDir, "pages", PAGES);
    const agent = await startAgent(scratch, { poolDir });
    const rows: Row[] = [];
    try {
      for (const { placement, server } of PLACEMENTS) {
        // The C server's thread starts where this one is.
        pinThisThread(server);
        pinProcess(agent.pid, server);
        for (const { name, bytes, limit } of SIZES) {
          progress(`${name}, ${placement}`);
          const peer = await startPeer(scratch, bytes);
          pinThisThread(CLIENT_PROCESSOR);
          const connection = new Connection(new TcpTransport("127.0.0.1", agent.dataPort, ""));
          const rounds = quick ? { count: 3, ms: 2 } : { count: 101, ms: 10 };
          const contestants = { ours: pageReads(connection, bytes), [C]: peer.work };
          const samples = await alternate(contestants, rounds, quick);
          connection.close();
          peer.stop();
          const us = (ns: Samples | undefined) => ns!.map((each) => each / 1e3);
          const peers = { [C]: us(samples[C]) };
          rows.push(
            row(`read ${name}, ${placement}`, "µs", us(samples["ours"]), peers, [within(C, limit)]),
          );
          pinThisThread(server);
        }
      }
    } finally {
      unpinThisThread();
    }
    return rows;
  },
};
export default bench;

/** Reads of the first pages of a pool, one after the other. */
function pageReads(connection: Connection, bytes: number): Work {
  const pool = connection.pool("pages");
  const memory = allocateBuffer(bytes);
  const into = { address: memory.address, bytes: memory.bytes(0, bytes) };
  const { transport } = connection;
  let done = false;
  const finish = (failure: Error | undefined) => {
    if (failure !== undefined) throw failure;
    done = true;
  };
  const isDone = () => done;
  const readOnce = (ranges: readonly ByteRange[]) => {
    done = false;
    transport.read(pool, ranges, into, finish);
    connection.drive(isDone);
  };
  readOnce([{ offset: 0, bytes: HEADER_BYTES_USED }]);
  const header = decodeHeader(into.bytes.slice(0, HEADER_BYTES_USED), pool.fileBytes);
  const ranges = [{ offset: pageOffset(header, 0), bytes }];
  readOnce(ranges);
  const slots = new Float64Array(memory.buffer, PAGE_HEADER_BYTES, SLOTS_PER_PAGE);
  if (slots.some((value, i) => value !== i + 1)) throw new Error("a page was read wrong");
  return (times) => {
    for (let i = 0; i < times; i++) readOnce(ranges);
  };
}

/** The C server in a thread of its own, and its client connected to it. */
async function startPeer(scratch: Scratch, bytes: number): Promise<{ work: Work; stop(): void }> {
  const peer = await compileC(scratch, SOURCE, {
    start: { args: ["u64"], returns: "i32" },
    run: { args: ["u64"], returns: "i32" },
    stop: { args: [], returns: "void" },
  });
  const check = (status: number) => {
    if (status !== 0) throw new Error(`the C peer failed: errno ${-status}`);
  };
  check(peer.start(bytes));
  return { work: (times) => check(peer.run(times)), stop: () => peer.stop() };
}

const SOURCE = `
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { REQUEST = ${REQUEST}, HEAD = ${RESPONSE_BYTES} };

static int listener, client, server;
static uint64_t bytes;
static char *sent, *received, request[REQUEST];
static pthread_t thread;

static int all(int fd, char *memory, uint64_t count) {
  for (uint64_t at = 0; at < count;) {
    ssize_t n = recv(fd, memory + at, count - at, 0);
    if (n <= 0) return n < 0 ? -errno : -ECONNRESET;
    at += (uint64_t)n;
  }
  return 0;
}

static int give(int fd, const char *memory, uint64_t count) {
  for (uint64_t at = 0; at < count;) {
    ssize_t n = send(fd, memory + at, count - at, MSG_NOSIGNAL);
    if (n < 0) return -errno;
    at += (uint64_t)n;
  }
  return 0;
}

static void *serve(void *nothing) {
  char asked[REQUEST];
  while (all(server, asked, REQUEST) == 0 && give(server, sent, HEAD + bytes) == 0) {
  }
  return nothing;
}

int start(uint64_t count) {
  bytes = count;
  sent = calloc(1, HEAD + bytes);
  received = calloc(1, HEAD + bytes);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t length = sizeof address;
  listener = socket(AF_INET, SOCK_STREAM, 0);
  client = socket(AF_INET, SOCK_STREAM, 0);
  int on = 1;
  if (bind(listener, (struct sockaddr *)&address, length) < 0 || listen(listener, 1) < 0 ||
      getsockname(listener, (struct sockaddr *)&address, &length) < 0 ||
      connect(client, (struct sockaddr *)&address, length) < 0) return -errno;
  server = accept(listener, NULL, NULL);
  if (server < 0) return -errno;
  setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  setsockopt(server, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  return -pthread_create(&thread, NULL, serve, NULL);
}

int run(uint64_t times) {
  for (uint64_t i = 0; i < times; i++) {
    int status = give(client, request, REQUEST);
    if (status == 0) status = all(client, received, HEAD + bytes);
    if (status < 0) return status;
  }
  return 0;
}

void stop(void) {
  shutdown(client, SHUT_RDWR);
  pthread_join(thread, NULL);
  close(client);
  close(server);
  close(listener);
  free(sent);
  free(received);
}
`;
