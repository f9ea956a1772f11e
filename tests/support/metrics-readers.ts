// Other people's readers of what is exposed: promtool, Prometheus itself, and the Python client's OpenMetrics parser.

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { outcomeOf } from "./outcome.ts";
import { Prometheus } from "./receivers.ts";

export const promtool = Bun.which("promtool");

/** A Python that has Debian's python3-prometheus-client. */
export const pythonWithClient = ["python3", "/usr/bin/python3"].find((python) => {
  if (Bun.which(python) === null) return false;
  return Bun.spawnSync([python, "-c", "import prometheus_client.openmetrics.parser"]).success;
});

/** What `promtool check metrics` has to say of a text; nothing is good. */
export async function promtoolFindings(text: string): Promise<string> {
  return run([promtool!, "check", "metrics"], text);
}

const PARSE = `
import json, sys
from prometheus_client.openmetrics.parser import text_string_to_metric_families
families = text_string_to_metric_families(sys.stdin.buffer.read().decode("utf-8"))
json.dump({f.name: [f.type, f.unit, f.documentation, [[s.name, s.labels, repr(s.value)] for s in f.samples]] for f in families}, sys.stdout)
`;

export type PythonFamilies = Record<
  string,
  [
    type: string,
    unit: string,
    help: string,
    samples: [string, Record<string, string>, value: string][],
  ]
>;

/** The families of an OpenMetrics text. @throws Error with what is wrong with it */
export async function readByPython(text: string): Promise<PythonFamilies> {
  return JSON.parse(await run([pythonWithClient!, "-c", PARSE], text)) as PythonFamilies;
}

const PARSE_MANY = `
import json, sys
from prometheus_client.openmetrics.parser import text_string_to_metric_families
wrong = []
for text in json.load(sys.stdin):
    try:
        list(text_string_to_metric_families(text))
        wrong.append("")
    except ValueError as error:
        wrong.append(str(error) or "refused")
json.dump(wrong, sys.stdout)
`;

/** What is wrong with each of these OpenMetrics texts; nothing is good. */
export async function findingsOfPython(texts: readonly string[]): Promise<string[]> {
  const command = [pythonWithClient!, "-c", PARSE_MANY];
  return JSON.parse(await run(command, JSON.stringify(texts))) as string[];
}

async function run(command: string[], input: string): Promise<string> {
  const child = Bun.spawn(command, { stdin: Buffer.from(input), stdout: "pipe", stderr: "pipe" });
  const { exitCode, stdout, stderr } = await outcomeOf(child);
  if (command[0] !== promtool && exitCode !== 0) throw new Error(stderr);
  return stdout + stderr;
}

/** Prometheus that scrapes. */
export class ScrapingPrometheus extends Prometheus {
  /** @param jobs lines of `scrape_configs`, without `job_name` */
  constructor(readonly jobs: Readonly<Record<string, { port: number; more?: string[] }>>) {
    super();
  }

  protected override command(): string[] {
    const command = super.command();
    const lines = ["global: { scrape_interval: 1s }", "scrape_configs:"];
    for (const [name, { port, more = [] }] of Object.entries(this.jobs)) {
      lines.push(`- job_name: ${name}`, `  static_configs: [{ targets: ["127.0.0.1:${port}"] }]`);
      lines.push(...more.map((line) => `  ${line}`));
    }
    writeFileSync(join(this.folder, "prometheus.yml"), `${lines.join("\n")}\n`);
    return command;
  }
}
