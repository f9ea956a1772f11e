// A host whose /dev/shm is full of what other users have put there under names of pools. Runs in a mount namespace
// with a /dev/shm of its own, see strangers.test.ts, and prints what agent, service, collector and prototype made of it.

import {
  chmodSync,
  lchownSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { Agent } from "../../src/agent/agent.ts";
import { Pool } from "../../src/agent/pool/pool.ts";
import { MicroView } from "../../src/client/index.ts";
import { Collector } from "../../src/collector/index.ts";
import { checkPools } from "../../src/doctor/pools.ts";
import { createLog, type Log } from "../../src/guard/log.ts";
import { SHM_DIR } from "../../src/layout/index.ts";
import { note } from "./collecting.ts";
import { application, define, limits, TestWriter } from "./pools.ts";
import { until } from "./wait.ts";

const STRANGER = 65_534;
const MANY = 1500;

const folder = process.argv[2]!;
const socketPath = `${folder}/agent.sock`;

/** A pool that says that its application has counted 666, as an agent of its maker would have it. */
function forge(path: string, app: string): void {
  const pool = Pool.create(path, app, { mode: 0o666 });
  const forged = application(pool);
  new TestWriter(forged, { service: "auth" }).put(define.counter("requests_total"), [], 666);
  forged.pool.close();
}

function foreign(path: string): void {
  lchownSync(path, STRANGER, STRANGER);
}

function strange(): void {
  forge(`${SHM_DIR}/microview.shop`, "shop");
  writeFileSync(`${SHM_DIR}/microview.five`, "five!");
  Bun.spawnSync(["mkfifo", `${SHM_DIR}/microview.pipe`]);
  mkdirSync(`${SHM_DIR}/microview.folder`);
  symlinkSync("/etc/passwd", `${SHM_DIR}/microview.link`);
  Bun.spawnSync(["mknod", `${SHM_DIR}/microview.device`, "c", "1", "5"]);
  writeFileSync(`${SHM_DIR}/microview.huge`, "MICROVW\0");
  truncateSync(`${SHM_DIR}/microview.huge`, 2 ** 40);
  for (let i = 0; i < MANY; i++) writeFileSync(`${SHM_DIR}/microview.many${i}`, "");
  for (const name of readdirSync(SHM_DIR)) foreign(`${SHM_DIR}/${name}`);
  for (const name of ["shop", "five", "huge"]) chmodSync(`${SHM_DIR}/microview.${name}`, 0o666);
}

/** Registers a metric as the prototype's clients do. */
async function register(): Promise<{ shm_name: string; addr: number }> {
  const answer = await fetch("http://agent/metrics", {
    method: "POST",
    unix: socketPath,
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ microservice_id: "old", name: "hits", type: false, value: 1 }),
  });
  if (!answer.ok) throw new Error(`${answer.status}: ${await answer.text()}`);
  return (await answer.json()) as { shm_name: string; addr: number };
}

function usage() {
  const [, rssKiB] = /VmRSS:\s+(\d+) kB/.exec(readFileSync("/proc/self/status", "utf8"))!;
  return { openFiles: readdirSync("/proc/self/fd").length, rssMiB: Number(rssKiB) / 1024 };
}

function start(log: Log): Promise<Agent> {
  return Agent.start({
    socketPath,
    host: "127.0.0.1",
    port: 0,
    dataPort: 0,
    poolMode: 0o660,
    strategy: "page",
    scanIntervalMs: 50,
    insecure: false,
    version: "0.0.0-test",
    limits: limits(),
    log,
  });
}

strange();
const before = readdirSync(SHM_DIR).map((name) => {
  const { ino, size, blocks } = lstatSync(`${SHM_DIR}/${name}`);
  return { name, ino, size, blocks };
});
const log: { message: string; path?: string; reason?: string }[] = [];
const atStart = usage();
const startMs = performance.now();
const agent = await start(createLog("info", true, (line) => log.push(JSON.parse(line))));
const startedMs = performance.now() - startMs;
const started = usage();

const latest = new Map<string, number>();
const told: string[] = [];
const collector = new Collector({
  targets: [{ socketPath }],
  intervalMs: 10,
  onSnapshot: (snapshot) => note(latest, snapshot),
  onEvent: ({ kind, message }) => told.push(`${kind} ${message}`),
});
collector.start();

const apps = ["shop", "five", "pipe", "folder", "link", "device", "huge", "bank"];
const clients = apps.map((app) => {
  const mv = new MicroView({ app, service: "auth", socket: socketPath });
  mv.counter("requests_total").inc(3);
  return mv;
});
await Promise.all(clients.map((mv) => mv.ready));
const value = (app: string) => latest.get(`local ${app} auth requests_total{}`);
await until("all applications are read", () => apps.every((app) => value(app) === 3));

// The names that the prototype's clients would be given are foreseen, too.
const first = await register();
rmSync(`${SHM_DIR}/${first.shm_name}`);
writeFileSync(`${SHM_DIR}/${first.shm_name}`, "mine");
writeFileSync(`${SHM_DIR}/microview-link.legacy`, "mine");
mkdirSync(`${SHM_DIR}/microview-link.legacy.folder`);
for (const name of [first.shm_name, "microview-link.legacy", "microview-link.legacy.folder"]) {
  foreign(`${SHM_DIR}/${name}`);
}
const second = await register();
const pool = agent.pools.get("legacy").pool;
const linked = lstatSync(`${SHM_DIR}/${second.shm_name}`).ino === pool.file.stat().inode;

const warnings = checkPools(undefined, socketPath).filter(({ id }) => id === "foreign-files");
const paths = [...agent.pools].map(({ pool: { path } }) => path);
await collector.stop();
await Promise.all(clients.map((mv) => mv.close()));
await agent.stop();

// The next agent finds its pools under whatever names they have.
const next = await start(createLog("error", true, () => {}));
const adopted = [...next.pools].map(({ pool: { path } }) => path);
await next.stop();

const changed = before.filter(({ name, ino, size, blocks }) => {
  const now = lstatSync(`${SHM_DIR}/${name}`, { throwIfNoEntry: false });
  return now === undefined || now.ino !== ino || now.size !== size || now.blocks !== blocks;
});
console.log(
  JSON.stringify({
    startedMs,
    filesMore: started.openFiles - atStart.openFiles,
    mibMore: started.rssMiB - atStart.rssMiB,
    logged: log.filter(({ message }) => message.includes("not used")),
    shown: Object.fromEntries(apps.map((app) => [app, value(app)])),
    told: told.filter((line) => line.startsWith("damaged")).sort(),
    warned: warnings.length,
    linked,
    kept: readFileSync(`${SHM_DIR}/${first.shm_name}`, "utf8"),
    paths: paths.sort(),
    adopted: adopted.sort(),
    changed,
  }),
);
