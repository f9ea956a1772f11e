import { beforeAll, describe, expect, test } from "bun:test";
import { TestHost } from "../support/host.ts";
import { until } from "../support/wait.ts";
import { BuiltAgent, builtProgram, placeFlags } from "./program.ts";

beforeAll(() => {
  builtProgram();
});

const ENTER = "\u001b[?1049h";
const LEAVE = "\u001b[?1049l";
const SHOW_CURSOR = "\u001b[?25h";
const HOME = "\u001b[H";
const SERIES = 40;

/** The live view in a pseudo terminal. */
class Screen {
  readonly terminal: Bun.Terminal;
  readonly child: Bun.Subprocess;
  output = "";
  /** How the terminal took lines before the program changed that. */
  readonly modes: number;

  constructor(host: TestHost, columns: number, rows: number, env: Record<string, string> = {}) {
    const decoder = new TextDecoder();
    const flags = ["--interval", "20ms", "--app", "shop", ...placeFlags(host)];
    this.child = host.own(
      Bun.spawn([builtProgram(), "collect", ...flags], {
        cwd: host.folder,
        env: { TERM: "xterm-256color", ...env },
        terminal: {
          cols: columns,
          rows,
          data: (_terminal, bytes) => {
            this.output += decoder.decode(bytes, { stream: true });
          },
        },
      }),
    );
    this.terminal = this.child.terminal!;
    this.modes = this.terminal.localFlags;
    host.onEnd(() => this.terminal.close());
  }

  /** Frames of the screen that were drawn to their end, as lines without styles. */
  frames(from = 0): string[][] {
    const [, ...frames] = this.output.slice(from).split(LEAVE)[0]!.split(HOME);
    return frames.slice(0, -1).map(linesOf);
  }

  /** Waits for a frame that is as it should be. */
  frame(what: string, isWanted: (text: string) => boolean, from = 0): Promise<string[]> {
    return until(what, () => {
      if (this.child.exitCode !== null) throw new Error(`it ended: ${this.output}`);
      return this.frames(from).find((lines) => isWanted(lines.join("\n")));
    });
  }

  /** Types, and waits for the end. @returns the exit code */
  async endBy(keys: string): Promise<number> {
    this.terminal.write(keys);
    const exitCode = await this.child.exited;
    await until("its last words have come", () => this.output.includes("missed deadlines"));
    return exitCode;
  }
}

/** What a terminal shows of a piece of output. */
function linesOf(output: string): string[] {
  const lines = Bun.stripANSI(output).replaceAll("\r", "").split("\n");
  return lines.at(-1) === "" ? lines.slice(0, -1) : lines;
}

function fits(lines: readonly string[], columns: number, rows: number): boolean {
  return lines.length <= rows && lines.every((line) => Bun.stringWidth(line) <= columns);
}

/** A host with an agent and a service of {@link SERIES} series. */
async function hostWithSeries(): Promise<TestHost> {
  const host = new TestHost();
  await new BuiltAgent(host, { cwd: host.folder }).serves();
  const mv = host.client();
  const requests = mv.counter("requests_total", { labels: ["route"] });
  for (let i = 0; i < SERIES; i++) requests.labels(`/a/route/of/some/length/${i}/漢字`).inc(i);
  await mv.ready;
  return host;
}

describe("the live view in a terminal", () => {
  test("draws within the terminal's size, also after that has changed", async () => {
    await using host = await hostWithSeries();
    const screen = new Screen(host, 80, 24);
    const first = await screen.frame("the series are drawn", (text) => text.includes("requests_"));
    expect(first[0]).toContain("shop");
    expect(screen.frames().filter((lines) => !fits(lines, 80, 24))).toEqual([]);

    const before = screen.output.length;
    screen.terminal.resize(46, 9);
    // What finds no room is counted, not dropped in silence.
    await screen.frame(
      "it is drawn smaller, and says what finds no room",
      (text) => fits(text.split("\n"), 46, 9) && /… \d+ more/.test(text),
      before,
    );
    expect(await screen.endBy("q")).toBe(0);
  });

  test.each([
    ["q", "q"],
    ["Ctrl-C", "\u0003"],
  ])("%s ends it and gives the screen, the cursor and the keyboard back", async (_name, key) => {
    await using host = await hostWithSeries();
    const screen = new Screen(host, 100, 30);
    await screen.frame("the series are drawn", (text) => text.includes("/0/"));
    expect(screen.terminal.localFlags).not.toBe(screen.modes);
    expect(await screen.endBy(key)).toBe(0);
    const { output } = screen;
    expect(output.split(ENTER)).toHaveLength(2);
    expect(output.split(LEAVE)).toHaveLength(2);
    expect(output.lastIndexOf(SHOW_CURSOR)).toBeGreaterThan(output.indexOf("\u001b[?25l"));
    expect(screen.terminal.localFlags).toBe(screen.modes);
    // The last state stays readable on the screen that was there before.
    const after = linesOf(output.slice(output.indexOf(LEAVE)));
    expect(after.some((line) => line.includes("requests_total"))).toBe(true);
  });

  test("a signal gives the screen back as well", async () => {
    await using host = await hostWithSeries();
    const screen = new Screen(host, 100, 30);
    await screen.frame("the series are drawn", (text) => text.includes("/0/"));
    screen.child.kill("SIGTERM");
    expect(await screen.child.exited).toBe(0);
    await until("the screen is given back", () => screen.output.includes(LEAVE));
    expect(screen.terminal.localFlags).toBe(screen.modes);
  });

  test("keys scroll", async () => {
    await using host = await hostWithSeries();
    const screen = new Screen(host, 120, 12);
    await screen.frame("the first series is drawn", (text) => text.includes("/0/"));
    const before = screen.output.length;
    screen.terminal.write("G");
    const end = await screen.frame(
      "the last series is drawn",
      (text) => text.includes("/9/") && !text.includes("/0/"),
      before,
    );
    expect(fits(end, 120, 12)).toBe(true);
    expect(await screen.endBy("q")).toBe(0);
  });

  test("has styles, but none with NO_COLOR", async () => {
    await using host = await hostWithSeries();
    // biome-ignore lint/suspicious/noControlCharactersInRegex: styles begin with ESC
    const style = /\u001b\[[\d;]*m/;
    const plain = new Screen(host, 100, 30, { NO_COLOR: "1" });
    const styled = new Screen(host, 100, 30);
    for (const screen of [plain, styled]) {
      await screen.frame("the series are drawn", (text) => text.includes("/0/"));
      expect(await screen.endBy("q")).toBe(0);
    }
    expect(styled.output).toMatch(style);
    expect(plain.output).not.toMatch(style);
  });
});
