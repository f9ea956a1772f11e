// Pieces of memory that go out together: all of their bytes arrive in order, however few may go at once.

import { expect, test } from "bun:test";
import { connect, type Socket } from "node:net";
import {
  accept,
  allocateBuffer,
  closeFd,
  Gathered,
  localPort,
  tcpListen,
} from "../../src/ffi/index.ts";
import { until } from "../support/wait.ts";

/** A descriptor of ours, and what comes out at its other end. */
async function connected(): Promise<{ fd: number; socket: Socket; received: Buffer[] }> {
  const listening = tcpListen("127.0.0.1", 0);
  const socket = connect(localPort(listening), "127.0.0.1");
  const received: Buffer[] = [];
  socket.on("data", (bytes: Buffer) => received.push(bytes));
  const fd = await until("it is connected", () => {
    const found = accept(listening);
    return found >= 0 ? found : undefined;
  });
  closeFd(listening);
  return { fd, socket, received };
}

test.each([1, 3, 7, 64, 1000, 1 << 20])("in turns of at most %d bytes", async (maxBytes) => {
  const { fd, socket, received } = await connected();
  const memory = allocateBuffer(3000);
  for (let i = 0; i < 3000; i++) memory.bytes()[i] = (i * 7) % 251;
  const output = new Gathered(8);
  // Pieces that overlap, of one byte, of none, and longer than a turn.
  const pieces: [offset: number, bytes: number][] = [
    ...([
      [0, 1],
      [5, 0],
      [1, 999],
      [10, 64],
      [0, 3000],
      [2999, 1],
      [7, 7],
    ] as const),
  ].map(([offset, bytes]) => [offset, bytes]);
  for (const [offset, bytes] of pieces) output.add(memory.address + offset, bytes);
  let sent = 0;
  while (!output.empty) {
    const n = output.flush(fd, maxBytes);
    expect(n).toBeLessThanOrEqual(maxBytes);
    sent += n;
    await Promise.resolve();
  }
  const expected = Buffer.concat(
    pieces.map(([offset, bytes]) => Buffer.from(memory.bytes(offset, bytes))),
  );
  expect(sent).toBe(expected.length);
  await until("all has come", () => Buffer.concat(received).length === sent);
  expect(Buffer.concat(received).equals(expected)).toBe(true);
  socket.destroy();
  closeFd(fd);
  output.close();
  memory.unmap();
});
