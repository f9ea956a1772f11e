// ib_read_lat of perftest: what a READ takes in a C program that does nothing else.

import { readFileSync } from "node:fs";

export interface ReadLatencyOptions {
  device: string;
  gidIndex: number;
  /** Of a READ. */
  bytes: number;
  reads: number;
  /** Sleeps until the completion's event, or polls the completion queue without end. */
  wait: "event" | "spin";
  /** Where the process that reads runs. */
  processor: number;
}

/** Ports are taken in turn: one that was just used may not be free yet. */
const FIRST_PORT = 18_600;
const PORTS = 300;
const START_TIMEOUT_MS = 20_000;
/** `st` of /proc/net/tcp */
const LISTENING = "0A";

let nextPort = 0;

export function hasPerftest(): boolean {
  return Bun.which("ib_read_lat") !== null && Bun.which("taskset") !== null;
}

/**
 * Runs a server, which only lends its memory, and a client that reads it.
 * @returns t_typical, the median over the READs, in nanoseconds
 */
export async function readLatencyNs(options: ReadLatencyOptions): Promise<number> {
  const port = FIRST_PORT + (nextPort++ % PORTS);
  const { device, gidIndex, bytes, reads, wait, processor } = options;
  const command = [
    ...["taskset", "-c", `${processor}`, "ib_read_lat", "-F", "-d", device, "-x", `${gidIndex}`],
    ...["-p", `${port}`, "-s", `${bytes}`, "-n", `${reads}`, ...(wait === "event" ? ["-e"] : [])],
  ];
  const server = Bun.spawn(command, { stdin: "ignore", stdout: "ignore", stderr: "ignore" });
  try {
    await listening(port, server);
    const client = Bun.spawn([...command, "127.0.0.1"], {
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
    });
    const [output, errors] = await Promise.all([
      new Response(client.stdout).text(),
      new Response(client.stderr).text(),
    ]);
    if ((await client.exited) !== 0) throw new Error(`ib_read_lat failed:\n${output}${errors}`);
    await server.exited;
    return typicalNs(output);
  } finally {
    server.kill();
    await server.exited;
  }
}

/** The column of the table by its title: `#bytes #iterations t_min[usec] t_max[usec] t_typical[usec] …`. */
export function typicalNs(output: string): number {
  const lines = output.split("\n");
  const head = lines.findIndex((line) => line.includes("t_typical[usec]"));
  const titles = lines[head]?.trim().split(/\s+/) ?? [];
  const values = lines[head + 1]?.trim().split(/\s+/) ?? [];
  const us = Number(values[titles.indexOf("t_typical[usec]")]);
  if (!(us > 0)) throw new Error(`cannot read what ib_read_lat says:\n${output}`);
  return us * 1e3;
}

async function listening(port: number, server: Bun.Subprocess): Promise<void> {
  const local = new RegExp(
    `:${port.toString(16).toUpperCase().padStart(4, "0")} [0-9A-F]+:0000 ${LISTENING} `,
  );
  const untilMs = Date.now() + START_TIMEOUT_MS;
  while (Date.now() < untilMs) {
    if (server.exitCode !== null) throw new Error("ib_read_lat does not start as a server");
    const tables = ["/proc/net/tcp", "/proc/net/tcp6"].map((path) => readFileSync(path, "utf8"));
    if (tables.some((table) => local.test(table))) return;
    await Bun.sleep(10);
  }
  throw new Error("ib_read_lat does not listen");
}
