// `bun run bench <name> [--json] [--quick]`: runs one benchmark and prints what it measured beside its peers.
// Without a name it lists them. Exit code 0 also when a reach is missed: a noisy machine is no failure.

import { nearest } from "../src/text/nearest.ts";
import type { Bench } from "./lib/bench.ts";
import { describeMachine, type Machine } from "./lib/machine.ts";
import { type Report, table } from "./lib/report.ts";
import { Scratch } from "./lib/scratch.ts";

const BENCHES: Readonly<Record<string, () => Promise<{ default: Bench }>>> = {
  update: () => import("./update.ts"),
  event: () => import("./event.ts"),
  blocks: () => import("./blocks.ts"),
  ship: () => import("./ship.ts"),
  query: () => import("./query.ts"),
  collect: () => import("./collect.ts"),
  tcp: () => import("./tcp.ts"),
  impact: () => import("./impact.ts"),
  "event-impact": () => import("./event-impact.ts"),
  agent: () => import("./agent.ts"),
  strategies: () => import("./strategies.ts"),
  verbs: () => import("./verbs.ts"),
  exposition: () => import("./exposition.ts"),
  "remote-write": () => import("./remote-write.ts"),
  otlp: () => import("./otlp.ts"),
  frameworks: () => import("./frameworks.ts"),
  "prom-client": () => import("./prom-client.ts"),
  opentelemetry: () => import("./opentelemetry.ts"),
  files: () => import("./files.ts"),
};
const FLAGS = ["--json", "--quick", "--help"];

async function main(args: readonly string[]): Promise<number> {
  const flags = args.filter((arg) => arg.startsWith("-"));
  const names = args.filter((arg) => !arg.startsWith("-"));
  for (const flag of flags) {
    if (!FLAGS.includes(flag)) return refuse("flag", flag, FLAGS);
  }
  const [name, another] = names;
  if (another !== undefined) {
    console.error(`one benchmark at a time, got ${names.join(", ")}`);
    return 2;
  }
  if (name === undefined || flags.includes("--help")) {
    await list();
    return 0;
  }
  const load = BENCHES[name];
  if (load === undefined) return refuse("benchmark", name, Object.keys(BENCHES));
  return run(name, (await load()).default, flags.includes("--quick"), flags.includes("--json"));
}

async function run(name: string, bench: Bench, quick: boolean, json: boolean): Promise<number> {
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    // Leaving by exit() clears away what there is.
    process.on(signal, () => process.exit(130));
  }
  const report: Report = { bench: name, machine: describeMachine(), rows: [] };
  try {
    await using scratch = new Scratch();
    const progress = (line: string) => void process.stderr.write(`${name}: ${line}\n`);
    const measuredOn = (machine: Machine) => {
      report.machine = machine;
    };
    report.rows = await bench.run({ quick, scratch, progress, measuredOn });
  } catch (error) {
    console.error(`the benchmark ${name} could not run: ${(error as Error).stack ?? error}`);
    return 1;
  }
  process.stdout.write(`${json ? JSON.stringify(report) : table(report)}\n`);
  return 0;
}

async function list(): Promise<void> {
  console.log("bun run bench <name> [--json] [--quick]\n");
  const width = Math.max(...Object.keys(BENCHES).map((name) => name.length)) + 2;
  for (const [name, load] of Object.entries(BENCHES)) {
    console.log(`  ${name.padEnd(width)}${(await load()).default.summary}`);
  }
}

function refuse(what: string, given: string, known: readonly string[]): number {
  const meant = nearest(given, known);
  const hint = meant === undefined ? `there are ${known.join(", ")}` : `did you mean ${meant}?`;
  console.error(`there is no ${what} ${given}: ${hint}`);
  return 2;
}

process.exit(await main(process.argv.slice(2)));
