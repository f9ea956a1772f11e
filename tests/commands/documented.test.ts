// Every command line of ours that stands in a page, an example, a file of deploy/ or an error is put through the real
// parser, and every flag that is named anywhere is one that a subcommand has.

import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { visibleCommands } from "../../src/command-line/catalogue.ts";
import { UsageError } from "../../src/command-line/errors.ts";
import { flagName } from "../../src/command-line/flags.ts";
import { parseStrictly } from "../../src/command-line/parse.ts";
import type { SubcommandDetails } from "../../src/command-line/subcommand.ts";
import { loadSubcommand } from "../../src/commands/index.ts";
import { ROOT } from "../support/host.ts";

const PAGES = ["README.md", "SECURITY.md", "CONTRIBUTING.md", "CHANGELOG.md"];
const GLOBS = ["docs/*.md", "docs/decisions/*.md", "examples/**/*", "deploy/**/*", "src/**/*.ts"];
const FILES = [...PAGES, ...GLOBS.flatMap((glob) => [...new Bun.Glob(glob).scanSync(ROOT)])];

const subcommands = new Map<string, SubcommandDetails>();
for (const name of [...visibleCommands(), "demo-service", "query-process"] as const) {
  subcommands.set(name, (await loadSubcommand(name as never)).details);
}
const FLAGS = new Set([
  ...["--help", "--version"],
  ...[...subcommands.values()].flatMap(({ flags }) => Object.keys(flags).map(flagName)),
]);

/** Flags of other programs that our pages name. */
const FOREIGN = new Set([
  // bun
  ...[
    "--bytecode",
    "--compile",
    "--exact",
    "--external",
    "--frozen-lockfile",
    "--hot",
    "--minify",
    "--outdir",
    "--outfile",
    "--preload",
    "--splitting",
    "--unhandled-rejections",
  ],
  // curl
  ...["--cacert", "--cert", "--key"],
  // docker and podman
  ...[
    "--build",
    "--build-arg",
    "--cap-add",
    "--device",
    "--hostname",
    "--shm-size",
    "--ulimit",
    "--uts",
    "--cgroups",
  ],
  // apt-get, useradd and a Dockerfile's HEALTHCHECK
  ...[
    "--gid",
    "--home-dir",
    "--no-create-home",
    "--no-install-recommends",
    "--shell",
    "--start-period",
    "--timeout",
    "--uid",
  ],
  // helm, kubectl and kubeconform
  ...[
    "--dry-run",
    "--from-file",
    "--kube-version",
    "--namespace",
    "--set",
    "--strict",
    "--validate",
  ],
  // systemd-analyze
  ...["--offline"],
  // Prometheus and the OpenTelemetry Collector
  ...["--config", "--enable-feature"],
  // our own scripts
  ...["--console", "--fresh", "--quick"],
  // not flags of ours: a decrement, an example, and one that a decision says does not exist
  ...["--left", "--odd", "--otlp-per-writer"],
]);

interface Found {
  place: string;
  command: string;
  rest: string;
}

/** `microview <subcommand> …` wherever it stands, up to where a shell, a sentence or a text would end it. */
function commandsIn(file: string): Found[] {
  const text = readFileSync(join(ROOT, file), "utf8").replaceAll(/\\\n\s*/g, " ");
  const names = [...subcommands.keys()].join("|");
  const pattern = new RegExp(`(?<![\\w.@-])microview (${names})(?![\\w-])([^\\n\`]*)`, "g");
  return [...text.matchAll(pattern)].map(([, command, rest], i) => ({
    place: `${file} #${i}`,
    command: command!,
    rest: rest!,
  }));
}

/**
 * The words of a command line as a shell takes them. It ends with a comment, a pipe or a redirection, and, in prose, where
 * something begins that is neither a flag, a flag's value, nor what stands for an operand.
 */
function wordsOf(rest: string): string[] {
  const words: string[] = [];
  for (const [word, single, double] of rest.matchAll(/'([^']*)'|"([^"]*)"|\S+/g)) {
    if (/^[|><#&;]|^\d?>/.test(word)) break;
    words.push(single ?? double ?? word);
  }
  return words;
}

/** Stands for something: `FILE`, `…`, `$FLAGS`, `${name}`, `[HOST:]PORT`, `DIR`. */
const PLACEHOLDER = /…|\.\.\.|\$|[[\]<>{}|]|\b[A-Z][A-Z_]+\b/;

describe("what is written of `microview`", () => {
  const commands = FILES.flatMap(commandsIn);

  test("has only command lines that the parser takes", () => {
    const wrong: string[] = [];
    let taken = 0;
    for (const { place, command, rest } of commands) {
      const words = wordsOf(rest);
      // Of a sentence only what belongs to its flags is a command line.
      const last = words.findLastIndex((word) => word.startsWith("--"));
      if (last < 0) continue;
      const line = words
        .slice(0, last + 2)
        .map((word) => word.replace(/[,.;:)"'\\]+$/, ""))
        .filter((word) => word !== "--help");
      const { flags, operands } = subcommands.get(command)!;
      try {
        parseOrShorter(line, { flags, operands });
        taken++;
      } catch (error) {
        if (!(error instanceof UsageError)) throw error;
        const isPlaceholder = line.some((word) => PLACEHOLDER.test(word));
        // A flag that is named at the end of a sentence has its value left away.
        const isNamed = error.message === `${line.at(-1)} needs a value`;
        if ((isPlaceholder && !error.message.startsWith("unknown flag")) || isNamed) continue;
        wrong.push(`${place}: microview ${command} ${line.join(" ")}: ${error.message}`);
      }
    }
    expect(wrong).toEqual([]);
    expect(taken).toBeGreaterThan(50);
  });

  test("names only flags that there are", () => {
    const wrong = FILES.flatMap((file) => {
      const text = readFileSync(join(ROOT, file), "utf8");
      return [...text.matchAll(/(?<![\w[-])--[a-z][a-z0-9-]*[a-z0-9](?![\w.-])/g)]
        .map(([flag]) => flag)
        .filter((flag) => !FLAGS.has(flag) && !FOREIGN.has(flag))
        .map((flag) => `${file}: ${flag}`);
    });
    expect([...new Set(wrong)]).toEqual([]);
  });
});

/** What follows a switch at the end may be the sentence's next word. */
function parseOrShorter(
  line: readonly string[],
  accepts: Pick<SubcommandDetails, "flags" | "operands">,
): void {
  try {
    parseStrictly(line, accepts);
  } catch (error) {
    const before = line.at(-2);
    const flag = Object.entries(accepts.flags).find(([key]) => flagName(key) === before)?.[1];
    if (flag?.kind !== "switch") throw error;
    parseStrictly(line.slice(0, -1), accepts);
  }
}
