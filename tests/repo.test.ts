// The project's own habits: what a newcomer types, and what the files promise.

import { describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import packageJson from "../package.json" with { type: "json" };
import { ROOT } from "../scripts/root.ts";
import { visibleCommands } from "../src/command-line/catalogue.ts";

function run(...command: string[]): { exitCode: number; stdout: string } {
  const child = Bun.spawnSync(command, { cwd: ROOT });
  return { exitCode: child.exitCode, stdout: child.stdout.toString() };
}

describe("the Makefile", () => {
  test("alone lists every target with a line on it", async () => {
    const makefile = await Bun.file(join(ROOT, "Makefile")).text();
    const targets = [...makefile.matchAll(/^\.PHONY: (\S+)$/gm)].map((match) => match[1]!);
    expect(targets).toContain("run");
    expect(targets).toContain("test");
    const { exitCode, stdout } = run("make");
    expect(exitCode).toBe(0);
    for (const target of targets) expect(stdout).toMatch(new RegExp(`^  make ${target} +\\S`, "m"));
  });
});

describe("package.json", () => {
  test("pins exact versions", () => {
    const versions = Object.entries({
      ...packageJson.dependencies,
      ...packageJson.devDependencies,
    });
    expect(versions.filter(([, version]) => !/^\d+\.\d+\.\d+(-[\w.]+)?$/.test(version))).toEqual(
      [],
    );
  });

  test("names each dependency in docs/dependencies.md", async () => {
    const text = await Bun.file(join(ROOT, "docs/dependencies.md")).text();
    const names = Object.keys({ ...packageJson.dependencies, ...packageJson.devDependencies });
    expect(names.filter((name) => !text.includes(`\`${name}\``))).toEqual([]);
  });

  test("asks for the bun that set-up installs", async () => {
    const setup = await Bun.file(join(ROOT, "scripts/setup.sh")).text();
    expect(setup).toContain(`BUN_VERSION=${packageJson.packageManager.replace("bun@", "")}`);
  });

  test("has its version in the change log", async () => {
    const text = await Bun.file(join(ROOT, "CHANGELOG.md")).text();
    expect(text).toContain(packageJson.version);
  });
});

describe("pages", () => {
  const pages = ["*.md", "docs/*.md"]
    .flatMap((glob) => [...new Bun.Glob(glob).scanSync(ROOT)])
    .sort();
  // The change log and the decisions speak of what was there at their time.
  for (const page of pages.filter((name) => name !== "CHANGELOG.md")) {
    test(`${page} names and links files that are there`, async () => {
      const text = await Bun.file(join(ROOT, page)).text();
      const named = [
        ...text.matchAll(/`((?:src|c|tests|bench|scripts|docs|examples|deploy)\/[^`\s<]*)`/g),
      ];
      const linked = [...text.matchAll(/\]\((?!https?:)([^)#\s]+)/g)];
      const paths = [
        ...named.map((match) => match[1]!),
        ...linked.map((match) => join(dirname(page), match[1]!)),
      ];
      expect(paths.filter((path) => !existsSync(join(ROOT, path)))).toEqual([]);
    });
  }
});

describe("decisions", () => {
  const files = [...new Bun.Glob("docs/decisions/*.md").scanSync(ROOT)].sort();
  const numberOf = (file: string) => Number(/(\d{4})-[^/]*$/.exec(file)?.[1]);

  test("are numbered from 1, each number once, and say their number", async () => {
    expect(files.map(numberOf)).toEqual(files.map((_, i) => i + 1));
    for (const file of files) {
      const [title] = (await Bun.file(join(ROOT, file)).text()).split("\n");
      expect(title).toStartWith(`# ${numberOf(file)}. `);
    }
  });

  test("that are cited by their number are there", async () => {
    const missing: string[] = [];
    for (const glob of ["{src,tests,bench,scripts}/**/*.ts", "c/*.{c,h}", "*.md", "docs/**/*.md"]) {
      for (const file of new Bun.Glob(glob).scanSync(ROOT)) {
        const text = await Bun.file(join(ROOT, file)).text();
        for (const [cited, number] of text.matchAll(/\b(?:decisions\/0*|[Dd]ecision )(\d+)/g)) {
          if (Number(number) > files.length) missing.push(`${file}: ${cited}`);
        }
      }
    }
    expect(missing).toEqual([]);
  });
});

describe("comments", () => {
  /** Of other projects. */
  const FOREIGN = /^(?:api\/src|drivers|linux)\//;

  test.each(["src/**/*.ts", "c/*.{c,h}"])("in %s name files that are there", async (glob) => {
    const missing: string[] = [];
    for (const file of new Bun.Glob(glob).scanSync(ROOT)) {
      const text = await Bun.file(join(ROOT, file)).text();
      const comments = text.match(/^\s*\/\/.*|\/\*[\s\S]*?\*\//gm) ?? [];
      for (const [path] of comments
        .join("\n")
        .matchAll(/(?<![\w/.:@-])[\w-][\w./-]*\/[\w.-]+\.(?:ts|c|md)\b/g)) {
        const places = [ROOT, join(ROOT, dirname(file))];
        if (FOREIGN.test(path) || places.some((place) => existsSync(join(place, path)))) continue;
        missing.push(`${file}: ${path}`);
      }
    }
    expect(missing).toEqual([]);
  });
});

test("each command that is shown has a page of its name", () => {
  const pages = visibleCommands().map((name) => `docs/${name}.md`);
  expect(pages.filter((page) => !existsSync(join(ROOT, page)))).toEqual([]);
});

describe("the compiled program", () => {
  test("has each worker in it under the name that it is started by", async () => {
    const build = await Bun.file(join(ROOT, "scripts/build.ts")).text();
    const [, entries = ""] = build.match(/ENTRY_POINTS = \[([^\]]*)\]/) ?? [];
    const workers = [...entries.matchAll(/"(\S+worker\.ts)"/g)].map(([, path]) => `./${path}`);
    const started: string[] = [];
    for (const path of new Bun.Glob("src/**/*.ts").scanSync(ROOT)) {
      const text = await Bun.file(join(ROOT, path)).text();
      for (const [, compiled, beside] of text.matchAll(
        /includes\("\/\$bunfs\/"\)\s*\? "(\S+\.ts)"\s*: "(\S+\.ts)"/g,
      )) {
        started.push(compiled!);
        expect(`./${join(dirname(path), beside!)}`).toBe(compiled!);
      }
    }
    expect(started.sort()).toEqual(workers.sort());
    expect(started.length).toBeGreaterThan(2);
  });
});

describe("scripts", () => {
  test("are executable and parse", () => {
    for (const script of [".ci/run", "scripts/setup.sh"]) {
      expect(run("test", "-x", script).exitCode).toBe(0);
      expect(run("bash", "-n", script).exitCode).toBe(0);
    }
  });

  test("set-up names a flag that it does not know", () => {
    expect(run("scripts/setup.sh", "--nonsense").exitCode).toBe(1);
  });
});
