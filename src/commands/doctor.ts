// `microview doctor`: what this host offers and lacks.

import { defineSubcommand, flag, styleFor } from "../command-line/index.ts";
import type { Finding, Level } from "../doctor/index.ts";
import { counted, printableLines, type Style, safeJson } from "../text/index.ts";

export default defineSubcommand("doctor", {
  description:
    "Looks and changes nothing. Exits 1 when microview cannot work here; what is missing for RDMA or probes alone is a warning.",
  examples: [
    { command: "microview doctor", does: "check this host" },
    { command: "microview doctor --json", does: "the same for programs" },
  ],
  flags: {
    json: flag.toggle({ description: "print one JSON object" }),
    socket: flag.path({
      description: "Unix socket of the agent",
      shownDefault: "agent.sock in the run directory",
    }),
    port: flag.port({ description: "REST port of the agent on this host", shownDefault: "7070" }),
    poolDir: flag.directory({
      description: "where the pools are",
      shownDefault: "where the agent says, else /dev/shm",
    }),
  },
  async run({ json, socket, port, poolDir }) {
    const { examine } = await import("../doctor/index.ts");
    const { version } = await import("../../package.json");
    const findings = await examine({
      version,
      ...(socket === undefined ? {} : { socketPath: socket }),
      ...(port === undefined ? {} : { port }),
      ...(poolDir === undefined ? {} : { poolDir }),
    });
    const ok = !findings.some(({ level }) => level === "fail");
    if (json) process.stdout.write(`${safeJson({ version, ok, findings }, 2)}\n`);
    // Names and versions are what agents and files say of themselves.
    else process.stdout.write(findingsText(findings.map(shown), styleFor(process.stdout)));
    if (!ok) process.exitCode = 1;

    function shown(finding: Finding): Finding {
      return { ...finding, finding: printableLines(finding.finding).replaceAll("\n", " ") };
    }
  },
});

const NEEDS = { core: "microview", rdma: "RDMA", probes: "probes and tracing" } as const;

/** Groups by what a check is of interest for, then one line each, and what to do below. */
export function findingsText(findings: readonly Finding[], style: Style): string {
  const width = Math.max(...findings.map(({ title }) => title.length));
  const lines = Object.entries(NEEDS).flatMap(([need, title]) => {
    const group = findings.filter((finding) => finding.need === need);
    if (group.length === 0) return [];
    return [style.bold(title), ...group.flatMap((each) => findingLines(each, width, style)), ""];
  });
  return `${[...lines, summary(findings, style)].join("\n")}\n`;
}

function findingLines(
  { level, title, finding, advice }: Finding,
  width: number,
  style: Style,
): string[] {
  const line = `  ${mark(level, style)}  ${title.padEnd(width)}  ${finding}`;
  return advice === undefined
    ? [line]
    : [line, `${" ".repeat(10 + width)}${style.cyan("→")} ${advice}`];
}

function mark(level: Level, style: Style): string {
  const paint = { ok: style.green, warn: style.yellow, fail: style.red }[level];
  return paint(level.padEnd(4));
}

function summary(findings: readonly Finding[], style: Style): string {
  const count = (level: Level) => findings.filter((finding) => finding.level === level).length;
  const failed = count("fail");
  const verdict =
    failed > 0
      ? style.red("microview cannot do its work here")
      : style.green("microview can do its work here");
  return `${verdict}: ${count("ok")} ok, ${counted(count("warn"), "warning")}, ${counted(failed, "failure")}`;
}
