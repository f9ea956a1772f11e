// Services as they are shipped: bundled, compiled, packed, linked and in a workspace. Each attaches to a real agent from a
// folder of its own, and its counter is read.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { ROOT, TestHost } from "../support/host.ts";
import { Lines } from "../support/lines.ts";
import { outcomeOf } from "../support/outcome.ts";
import { serveRegistry } from "../support/registry.ts";

const SERVICE = `
  import { MicroView } from "microview";
  import { LoggerProvider, TracerProvider } from "microview/opentelemetry";
  import { destination } from "microview/pino";
  import { Counter, microview } from "microview/prom-client";

  const mv = new MicroView({ app: "shop", service: "auth" });
  mv.counter("requests_total").inc(7);
  new Counter({ name: "orders_total", help: "Orders." }).inc(3);
  destination({ mv }).write('{"level":30,"msg":"by pino"}');
  new TracerProvider({ mv }).getTracer("bundled").startSpan("by the API").end();
  new LoggerProvider({ mv }).getLogger("bundled").emit({ body: "by the API" });
  const found = [await mv.ready, await microview()!.ready];
  console.log(JSON.stringify(found));
`;

/** Of all cases: the package as it is published, and a project in which it is installed. */
const base = mkdtempSync("/tmp/microview-test-");
const environment = {
  PATH: process.env["PATH"] ?? "",
  HOME: join(base, "home"),
  BUN_INSTALL: join(base, "home/.bun"),
  BUN_INSTALL_CACHE_DIR: join(base, "cache"),
};
const PACKAGE = join(base, "microview-0.1.0.tgz");
const INSTALLED = join(base, "installed");

/** Runs bun in a folder. Not \`spawnSync\`: a registry of this process may have to answer it. */
async function bun(cwd: string, args: readonly string[], env: Record<string, string> = {}) {
  const child = Bun.spawn([process.execPath, ...args], {
    cwd,
    env: { ...environment, ...env },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  const { exitCode, stdout, stderr } = await outcomeOf(child);
  if (exitCode !== 0) throw new Error(`bun ${args.join(" ")}: ${stdout}${stderr}`);
  return stdout;
}

/** Lets bun install what a project asks for. */
async function install(cwd: string, args: readonly string[]): Promise<void> {
  using registry = serveRegistry();
  await bun(cwd, args, { BUN_CONFIG_REGISTRY: registry.url.href });
}

function project(folder: string, manifest: object = {}): string {
  mkdirSync(folder, { recursive: true });
  writeFileSync(
    join(folder, "package.json"),
    JSON.stringify({ name: "service", private: true, type: "module", ...manifest }),
  );
  writeFileSync(join(folder, "service.ts"), SERVICE);
  return folder;
}

beforeAll(async () => {
  await bun(ROOT, ["pm", "pack", "--destination", base]);
  await install(project(INSTALLED), ["add", PACKAGE]);
});
afterAll(() => rmSync(base, { recursive: true, force: true }));

/** Runs a service from the root folder, and sees that the agent has what it counted. */
async function counts(host: TestHost, command: readonly string[]): Promise<void> {
  const child = host.own(
    Bun.spawn([...command], {
      cwd: "/",
      env: {
        PATH: environment.PATH,
        MICROVIEW_SOCKET: host.socketPath,
        MICROVIEW_APP: "shop",
        MICROVIEW_SERVICE: "orders",
      },
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
    }),
  );
  const { stdout, stderr } = await outcomeOf(child);
  expect({ stdout, stderr }).toEqual({
    stdout: `${JSON.stringify([{ attached: true }, { attached: true }])}\n`,
    stderr: "",
  });
  await host.shows(7, "requests_total");
  await host.shows(3, "orders_total", { service: "orders" });
}

describe("a service that is bundled", () => {
  const cases: [string, string[], string][] = [
    ["into a folder", ["--outdir", "dist"], "service.js"],
    ["into a file", ["--outfile", "dist/bundle.js"], "bundle.js"],
    ["minified", ["--outfile", "dist/bundle.js", "--minify"], "bundle.js"],
    ["as CommonJS", ["--outdir", "dist", "--format", "cjs"], "service.js"],
    [
      "as bytecode",
      ["--outdir", "dist", "--bytecode", "--minify", "--format", "cjs"],
      "service.js",
    ],
    ["in chunks", ["--outdir", "dist", "--splitting"], "service.js"],
  ];
  for (const [how, flags, file] of cases) {
    test(`${how} shares its metrics, from any folder and without what it was made from`, async () => {
      await using host = new TestHost();
      await host.agent();
      const folder = join(host.folder, "project");
      cpSync(join(INSTALLED, "service.ts"), join(folder, "service.ts"));
      symlinkSync(join(INSTALLED, "node_modules"), join(folder, "node_modules"));
      // Top-level await is not for CommonJS.
      if (flags.includes("cjs")) {
        const [imports, rest] = SERVICE.split("\n\n");
        const text = `${imports}\nasync function main() {${rest}}\nvoid main();`;
        writeFileSync(join(folder, "service.ts"), text);
      }
      await bun(folder, ["build", "service.ts", "--target", "bun", ...flags]);
      const elsewhere = join(host.folder, "elsewhere");
      renameSync(join(folder, "dist"), elsewhere);
      rmSync(folder, { recursive: true });
      await counts(host, [process.execPath, join(elsewhere, file)]);
    });
  }

  test("and compiled shares its metrics", async () => {
    await using host = new TestHost();
    await host.agent();
    const program = join(host.folder, "service");
    await bun(INSTALLED, ["build", "service.ts", "--compile", "--minify", "--outfile", program]);
    await counts(host, [program]);
  });
});

describe("a service that has microview", () => {
  test("by a packed file shares its metrics", async () => {
    await using host = new TestHost();
    await host.agent();
    await counts(host, [process.execPath, join(INSTALLED, "service.ts")]);
  });

  test("by `bun link` shares its metrics", async () => {
    await using host = new TestHost();
    await host.agent();
    const checkout = join(host.folder, "checkout");
    mkdirSync(checkout);
    Bun.spawnSync(["tar", "-xzf", PACKAGE, "-C", checkout, "--strip-components=1"]);
    symlinkSync(join(ROOT, "node_modules"), join(checkout, "node_modules"));
    await bun(checkout, ["link"]);
    const linked = project(join(host.folder, "linked"));
    await bun(linked, ["link", "microview"]);
    await counts(host, [process.execPath, join(linked, "service.ts")]);
  });

  test("as a package of its workspace shares its metrics", async () => {
    await using host = new TestHost();
    await host.agent();
    const root = join(host.folder, "workspace");
    const member = join(root, "packages/microview");
    mkdirSync(member, { recursive: true });
    Bun.spawnSync(["tar", "-xzf", PACKAGE, "-C", member, "--strip-components=1"]);
    writeFileSync(
      join(root, "package.json"),
      JSON.stringify({ name: "all", private: true, workspaces: ["packages/*"] }),
    );
    const service = project(join(root, "packages/service"), {
      dependencies: { microview: "workspace:*" },
    });
    await install(root, ["install", "--production"]);
    await counts(host, [process.execPath, join(service, "service.ts")]);
  });
});

describe("a native part that is", () => {
  /** A project whose microview has another native part. */
  function withLibrary(host: TestHost, change: (library: Buffer) => Uint8Array | string): string {
    const folder = join(host.folder, "project");
    project(folder);
    const copy = join(folder, "node_modules/microview");
    cpSync(join(INSTALLED, "node_modules/microview"), copy, { recursive: true });
    const path = join(copy, "build/shim.base64");
    const library = Buffer.from(Bun.gunzipSync(Buffer.from(readFileSync(path, "utf8"), "base64")));
    const changed = change(library);
    writeFileSync(
      path,
      typeof changed === "string"
        ? changed
        : Buffer.from(Bun.gzipSync(new Uint8Array(changed))).toString("base64"),
    );
    return folder;
  }

  const cases: [string, (library: Buffer) => Uint8Array | string, RegExp][] = [
    [
      "for another processor",
      (library) => {
        library.writeUInt16LE(process.arch === "x64" ? 183 : 62, 18);
        return library;
      },
      /the native part of microview is for (arm64|x64), and this is (x64|arm64) \(run `make shim`/,
    ],
    ["no text of one", () => "hello", /cannot be loaded: .* \(run `make shim`/],
    ["cut short", (library) => library.subarray(0, 4096), /is damaged \(run `make shim`/],
    ["empty", () => "", /(damaged|cannot be loaded)/],
  ];
  for (const [what, change, message] of cases) {
    test(`${what} is reported in one line, and the service goes on`, async () => {
      await using host = new TestHost();
      const agent = await host.agent();
      const folder = withLibrary(host, change);
      writeFileSync(
        join(folder, "service.ts"),
        `import { MicroView } from "microview";
         const mv = new MicroView({ app: "shop", service: "auth" });
         const counter = mv.counter("requests_total");
         counter.inc(7);
         const start = performance.now();
         const { attached, reason } = await mv.ready;
         console.log(attached, reason.code, counter.value, performance.now() - start < 4_000);`,
      );
      const child = host.own(
        Bun.spawn([process.execPath, join(folder, "service.ts")], {
          cwd: "/",
          env: { PATH: environment.PATH, MICROVIEW_SOCKET: host.socketPath },
          stdin: "ignore",
          stdout: "pipe",
          stderr: "pipe",
        }),
      );
      const said = await new Response(child.stderr).text();
      expect(said).toMatch(message);
      expect(said).toMatch(/^microview: [^\n]*\n$/);
      expect(await new Response(child.stdout).text()).toBe("false no-native-part 7 true\n");
      expect(await child.exited).toBe(0);
      // It has taken no place that it could not use.
      expect([...agent.pools].map(({ name }) => name)).toEqual(["microview"]);
    });
  }
});

test("a bundled collector, whose thread no bundle has, says in one line what to do", async () => {
  await using host = new TestHost();
  const folder = join(host.folder, "collector");
  cpSync(INSTALLED, folder, { recursive: true });
  writeFileSync(
    join(folder, "collector.ts"),
    `import { Collector } from "microview/collector";
     const target = { socketPath: process.env.MICROVIEW_SOCKET };
     const collector = new Collector({ targets: [target], intervalMs: 10, onSnapshot() {} });
     collector.start();
     process.stdin.once("data", () => collector.stop());`,
  );
  await bun(folder, ["build", "collector.ts", "--target", "bun", "--outfile", "collector.js"]);
  const child = host.own(
    Bun.spawn([process.execPath, join(folder, "collector.js")], {
      cwd: "/",
      env: { PATH: environment.PATH, MICROVIEW_SOCKET: host.socketPath },
      stdin: "pipe",
      stdout: "ignore",
      stderr: "pipe",
    }),
  );
  const lines = new Lines(child.stderr);
  expect(await lines.next()).toMatch(/the reading thread failed: .* --external 'microview\/\*'/);
  child.stdin.write("end\n");
  child.stdin.end();
  expect(await child.exited).toBe(0);
  await expect(lines.next()).rejects.toThrow('no more lines after ""');
});
