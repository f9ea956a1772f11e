import { afterEach, describe, expect, test } from "bun:test";
import {
  type Key,
  keysIn,
  SCREEN,
  type TableOptions,
  TableSink,
} from "../../../src/sinks/index.ts";
import { PLAIN } from "../../../src/text/index.ts";
import { define, Scratch, TestWriter } from "../../support/pools.ts";
import { HOSTILE, hostileCharacters, Output, Source, TAKEN_AT_MS } from "../snapshots.ts";

const scratch = new Scratch();

/** Time that stands still until the test moves it. */
class Clock {
  now = TAKEN_AT_MS;
  #timers: { everyMs: number; nextMs: number; run: () => void }[] = [];

  nowMs(): number {
    return this.now;
  }

  every(everyMs: number, run: () => void): () => void {
    const timer = { everyMs, nextMs: this.now + everyMs, run };
    this.#timers.push(timer);
    return () => {
      this.#timers = this.#timers.filter((each) => each !== timer);
    };
  }

  get timers(): number {
    return this.#timers.length;
  }

  advance(ms: number): void {
    const end = this.now + ms;
    for (;;) {
      const next = this.#timers.toSorted((a, b) => a.nextMs - b.nextMs)[0];
      if (next === undefined || next.nextMs > end) break;
      this.now = next.nextMs;
      next.nextMs += next.everyMs;
      next.run();
    }
    this.now = end;
  }
}

/** A terminal whose keys the test presses. */
class FakeTerminal {
  columns = 120;
  rows = 12;
  listening = false;
  #handlers: { key(key: Key): void; resize(): void } | undefined;

  size(): { columns: number; rows: number } {
    return this;
  }

  listen(handlers: { key(key: Key): void; resize(): void }): () => void {
    this.#handlers = handlers;
    this.listening = true;
    return () => {
      this.listening = false;
    };
  }

  press(key: Key): void {
    this.#handlers?.key(key);
  }

  resize(columns: number, rows: number): void {
    this.columns = columns;
    this.rows = rows;
    this.#handlers?.resize();
  }
}

const opened: TableSink[] = [];
afterEach(() => {
  for (const sink of opened.splice(0)) sink.close();
});

function live(some: Partial<TableOptions> = {}) {
  const output = new Output();
  const clock = new Clock();
  const terminal = new FakeTerminal();
  const sink = new TableSink({ write: output.write, clock, terminal, ...some });
  opened.push(sink);
  const frames = () => output.text.split(SCREEN.home).slice(1);
  /** The lines of what is on the screen. */
  const screen = () =>
    frames()
      .at(-1)!
      .replaceAll(SCREEN.eraseLine, "")
      .replaceAll(SCREEN.eraseBelow, "")
      .trimEnd()
      .split("\r\n");
  return { output, clock, terminal, sink, frames, screen };
}

function printed(some: Partial<TableOptions> = {}) {
  const output = new Output();
  const clock = new Clock();
  const sink = new TableSink({ write: output.write, clock, ...some });
  return { output, clock, sink };
}

/** A source with `count` counters named m_000, m_001, … */
function manySeries(count: number): Source {
  const source = new Source(scratch);
  for (let i = 0; i < count; i++) {
    source.writer.put(define.counter(`m_${String(i).padStart(3, "0")}`), [], i);
  }
  return source;
}

describe("the live table", () => {
  test("takes a screen of its own and gives it back with the last view", () => {
    const { output, sink, terminal, clock } = live();
    sink.write(manySeries(1).snapshot());
    sink.close();
    expect(output.text.startsWith(SCREEN.enter)).toBe(true);
    expect(output.text).toContain(SCREEN.leave);
    expect(output.text.split(SCREEN.leave)[1]).toContain("m_000");
    expect(terminal.listening).toBe(false);
    expect(clock.timers).toBe(0);
  });

  test("gives it back once, however often it is closed", () => {
    const { output, sink } = live();
    sink.close();
    sink.close();
    expect(output.text.split(SCREEN.leave)).toHaveLength(2);
  });

  test("says that it waits before the first snapshot", () => {
    expect(live().screen()[0]).toContain("waiting for the first read");
  });

  test("says why there is nothing to read, until there is", () => {
    const troubles = ["local: no agent answers at /run/x.sock"];
    const { screen, sink, clock } = live({ troubles: () => troubles });
    expect(screen().join("\n")).toContain(troubles[0]!);
    troubles.pop();
    sink.write(manySeries(1).snapshot());
    clock.advance(1000);
    expect(screen().join("\n")).not.toContain("no agent answers");
  });

  test("draws at most ten times per second however fast snapshots come", () => {
    const { sink, clock, frames } = live();
    const source = manySeries(2);
    const before = frames().length;
    for (let ms = 0; ms < 1000; ms++) {
      clock.advance(1);
      sink.write(source.snapshot(ms / 1000));
    }
    expect(frames().length - before).toBeLessThanOrEqual(10);
    expect(frames().length - before).toBeGreaterThanOrEqual(9);
  });

  test("draws once per second when nothing comes", () => {
    const { sink, clock, frames } = live();
    sink.write(manySeries(1).snapshot());
    clock.advance(100);
    const before = frames().length;
    clock.advance(5000);
    expect(frames().length - before).toBe(5);
  });

  test("shows service, metric, value and rate", () => {
    const { sink, clock, screen } = live();
    const source = new Source(scratch);
    source.writer.put(define.counter("requests_total", ["path"]), ["/a"], 10);
    sink.write(source.snapshot(0));
    source.writer.store("requests_total", ["/a"], 40);
    sink.write(source.snapshot(2));
    clock.advance(100);
    expect(screen().find((line) => line.includes("requests_total"))).toMatch(
      /^auth {5}requests_total\{path="\/a"\} +40 +15\/s/,
    );
  });

  test("shows quantiles of the last seconds in the histogram's unit", () => {
    const { sink, clock, screen } = live();
    const source = new Source(scratch);
    const wait = { ...define.histogram("wait", [0.001, 0.002, 0.004]), unit: "seconds" };
    source.writer.put(wait, [], 1000, 0, 0, 0, 1);
    sink.write(source.snapshot(0));
    clock.advance(100);
    // At first everything that was ever observed.
    expect(screen().find((line) => line.includes("wait"))).toContain("500 µs");
    // Then only what is new: 100 between 2 and 4 ms.
    source.writer.store("wait", [], 1000, 0, 100, 0, 1.3);
    sink.write(source.snapshot(1));
    clock.advance(100);
    const line = screen().find((each) => each.includes("wait"));
    expect(line).toMatch(/wait +1100 +100\/s +3 ms +3\.98 ms/);
  });

  test("draws the course of the last half minute", () => {
    const { sink, clock, screen } = live();
    const source = new Source(scratch);
    source.writer.put(define.counter("requests_total"), [], 0);
    let count = 0;
    for (let second = 0; second <= 40; second++) {
      count += second;
      source.writer.store("requests_total", [], count);
      sink.write(source.snapshot(second));
    }
    clock.advance(100);
    const line = screen().find((each) => each.includes("requests_total"))!;
    const trend = line.match(/[▁▂▃▄▅▆▇█]+$/)?.[0] ?? "";
    expect(trend).toHaveLength(30);
    expect(trend.at(-1)).toBe("█");
    expect([...trend].toSorted().join("")).toBe(trend);
  });

  test("is sorted by application, service and name, the agents' own application last", () => {
    const { sink, clock, screen, terminal } = live();
    terminal.rows = 30;
    const [zoo, agent, cart, auth] = ["zoo", "agent", "cart", "auth"].map(
      (service) => new Source(scratch, service),
    );
    for (const each of [zoo!, agent!, cart!, auth!]) {
      each.writer.put(define.counter("b_total"), [], 1);
      each.writer.put(define.counter("a_total"), [], 1);
    }
    sink.write(zoo!.snapshot(0, { app: "zoo" }));
    sink.write(agent!.snapshot(0, { app: "microview" }));
    sink.write(cart!.snapshot(0, { app: "cart" }));
    sink.write(auth!.snapshot(0, { app: "auth" }));
    clock.advance(100);
    const rows = screen()
      .slice(3)
      .map((line) => line.split(/ +/).slice(0, 2).join(" "));
    expect(rows).toEqual([
      "auth/auth a_total",
      "auth/auth b_total",
      "cart/cart a_total",
      "cart/cart b_total",
      "zoo/zoo a_total",
      "zoo/zoo b_total",
      "microview/agent a_total",
      "microview/agent b_total",
    ]);
  });

  test("ends where the terminal ends, and says how many are left", () => {
    const { sink, clock, screen, terminal } = live();
    terminal.rows = 12;
    sink.write(manySeries(20).snapshot());
    clock.advance(100);
    expect(screen().length).toBeLessThanOrEqual(12);
    expect(screen().at(-1)).toContain("… 13 more (use --metric");
    expect(screen().at(-2)).toContain("m_006");
  });

  test("tells every row from every other where names have to be cut", () => {
    const { sink, clock, screen, terminal } = live();
    const source = new Source(scratch);
    const requests = define.counter("http_requests_total", ["route", "status"]);
    for (const route of ["/a/rather/long/route", "/another/rather/long/route"]) {
      for (const status of ["200", "401", "503"]) source.writer.put(requests, [route, status], 1);
    }
    source.writer.put(define.histogram("wait_seconds", [1]), [], 1, 1, 5);
    sink.write(source.snapshot());
    clock.advance(100);
    for (const columns of [200, 120, 80, 60]) {
      terminal.resize(columns, 24);
      const rows = screen().slice(3);
      expect(rows).toHaveLength(7);
      expect(new Set(rows).size).toBe(7);
    }
  });

  test("never writes a line that is wider than the terminal", () => {
    const { sink, clock, screen, terminal } = live({ intervalMs: 1 });
    const source = new Source(scratch, "a service of a very long name 日本語日本語日本語日本語");
    source.writer.put(define.counter("requests_total", ["path"]), ["/日本語".repeat(20)], 1e9);
    source.writer.put({ ...define.histogram("wait", [1]), unit: "u".repeat(60) }, [], 1, 1, 5);
    sink.write(source.snapshot(0, { missed: 1, gap: "g".repeat(300) }));
    clock.advance(100);
    for (const columns of [200, 120, 80, 60, 40]) {
      terminal.resize(columns, 20);
      for (const line of screen()) expect(Bun.stringWidth(line)).toBeLessThanOrEqual(columns);
      expect(screen().some((line) => line.includes("requ"))).toBe(true);
    }
  });

  test("follows the terminal's size at once", () => {
    const { sink, clock, screen, terminal } = live();
    sink.write(manySeries(20).snapshot());
    clock.advance(100);
    terminal.resize(120, 40);
    expect(screen().filter((line) => line.includes("m_"))).toHaveLength(20);
  });

  test("scrolls by keys, and not beyond its ends", () => {
    const { sink, clock, screen, terminal } = live();
    terminal.rows = 12;
    sink.write(manySeries(20).snapshot());
    clock.advance(100);
    const first = () => screen()[3];
    terminal.press("up");
    expect(first()).toContain("m_000");
    terminal.press("down");
    expect(first()).toContain("m_001");
    terminal.press("pageDown");
    expect(first()).toContain("m_008");
    terminal.press("end");
    expect(first()).toContain("m_013");
    terminal.press("pageDown");
    expect(first()).toContain("m_013");
    expect(screen().at(-1)).toContain("13 more (13 above)");
    terminal.press("home");
    expect(first()).toContain("m_000");
  });

  test("tells when the person has had enough", () => {
    let quit = 0;
    const { terminal } = live({ onQuit: () => quit++ });
    terminal.press("quit");
    expect(quit).toBe(1);
  });

  test("says how reading goes: interval, lateness, missed deadlines, gaps", () => {
    const { sink, clock, screen } = live({ intervalMs: 1 });
    const source = manySeries(1);
    for (let i = 1; i <= 100; i++) sink.write(source.snapshot(i / 1000, { latenessMs: i / 1000 }));
    clock.advance(100);
    expect(screen()[0]).toContain("host:7070 · shop · 1 series · every 1 ms");
    expect(screen()[1]).toBe("read in 50 µs · late p50 50 µs p99 99 µs · missed 0 of 100 · gaps 0");
  });

  test("shows a gap loudly for half a minute, and counts it for ever", () => {
    const { sink, clock, screen } = live({ style: marking });
    const source = manySeries(1);
    sink.write(source.snapshot(0));
    sink.write(source.snapshot(9, { gap: "the agent was away for 8 s", missed: 8 }));
    clock.advance(100);
    expect(screen()[1]).toContain("<bold><red>missed 8 of 10</red></bold>");
    expect(screen()[2]).toMatch(
      /^<bold><red>GAP before .* in shop of host:7070: the agent was away for 8 s/,
    );
    for (let second = 10; second < 50; second++) {
      clock.advance(1000);
      sink.write(source.snapshot(second));
    }
    clock.advance(100);
    expect(screen().join("\n")).not.toContain("GAP");
    expect(screen()[1]).toContain("<yellow>gaps 1</yellow>");
  });

  test("says which agent is silent, and forgets it after a minute", () => {
    const { sink, clock, screen } = live({ intervalMs: 100 });
    sink.write(manySeries(1).snapshot());
    clock.advance(5500);
    expect(screen().join("\n")).toContain("SILENT shop of host:7070: nothing was read for 5 s");
    clock.advance(60_000);
    expect(screen().join("\n")).not.toContain("m_000");
  });

  test("says so when nothing matches", () => {
    const { sink, clock, screen } = live();
    const source = new Source(scratch, "auth", () => false);
    source.writer.put(define.counter("served_total"), [], 3);
    sink.write(source.snapshot());
    clock.advance(100);
    expect(screen().join("\n")).toContain("no series matches");
  });

  test("shows each writer by itself when asked", () => {
    const { sink, clock, screen } = live({ perWriter: true });
    const source = new Source(scratch);
    source.writer.put(define.counter("served_total"), [], 3);
    new TestWriter(source.app, { service: "auth", pid: 43, threadId: 1 }).put(
      define.counter("served_total"),
      [],
      4,
    );
    sink.write(source.snapshot());
    clock.advance(100);
    expect(screen().slice(3)).toEqual([
      expect.stringMatching(/^auth #1 42\/7 +served_total +3$/),
      expect.stringMatching(/^auth #2 43\/1 +served_total +4$/),
    ]);
  });

  test("sends no control of a hostile pool to the terminal", () => {
    const { sink, clock, screen } = live();
    const source = new Source(scratch, HOSTILE);
    source.writer.put({ ...define.gauge("level", "sum", ["v"]), unit: HOSTILE }, [HOSTILE], 1);
    source.writer.put({ ...define.histogram("wait", [1]), unit: HOSTILE }, [], 1, 0, 1);
    sink.write(source.snapshot(0, { source: HOSTILE, app: "shop", gap: HOSTILE, missed: 1 }));
    clock.advance(100);
    expect(hostileCharacters(screen().join("\n"))).toEqual([]);
    clock.advance(5000);
    expect(hostileCharacters(screen().join("\n"))).toEqual([]);
  });

  test("keeps nothing of a snapshot's arrays, which are used again", () => {
    const { sink, clock, screen } = live();
    const snapshot = manySeries(3).snapshot();
    sink.write(snapshot);
    snapshot.values.fill(777);
    clock.advance(100);
    expect(screen().join("\n")).not.toContain("777");
  });
});

describe("the printed table", () => {
  test("comes when the first round is complete, then each second, then at the end", () => {
    const { sink, clock, output } = printed();
    const source = manySeries(1);
    for (let i = 0; i < 25; i++) {
      sink.write(source.snapshot(i / 10));
      clock.advance(100);
    }
    expect(output.pieces).toHaveLength(3);
    sink.close();
    expect(output.pieces).toHaveLength(4);
    sink.close();
    expect(output.pieces).toHaveLength(4);
  });

  test("of a round has all pools of it", () => {
    const { sink, output } = printed();
    const source = manySeries(1);
    sink.write(source.snapshot(0));
    sink.write(source.snapshot(0, { app: "lager" }));
    sink.write(source.snapshot(1));
    expect(output.pieces).toHaveLength(1);
    expect(output.lines.filter((line) => line.includes("m_000"))).toHaveLength(2);
  });

  test("has every series, whole names, and neither trends nor screen commands", () => {
    const { sink, output } = printed();
    const source = manySeries(100);
    const long = "x".repeat(200);
    source.writer.put(define.counter("z_total", ["v"]), [long], 1);
    sink.write(source.snapshot(0));
    sink.close();
    expect(output.lines.filter((line) => line.includes("m_"))).toHaveLength(100);
    expect(output.text).toContain(long);
    expect(output.text).not.toContain("trend");
    expect(hostileCharacters(output.text)).toEqual([]);
  });

  test("shows what is absent as such", () => {
    const { sink, output } = printed();
    const source = new Source(scratch);
    source.writer.put(define.gauge("hottest", "max"), [], Number.NaN);
    sink.write(source.snapshot());
    sink.close();
    expect(output.lines.at(-1)).toMatch(/hottest +–$/);
  });
});

describe("keys", () => {
  test("are understood in both of a terminal's modes, several at once", () => {
    expect(keysIn("\u001b[A\u001bOBq")).toEqual(["up", "down", "quit"]);
    expect(keysIn("\u001b[5~\u001b[6~ g")).toEqual(["pageUp", "pageDown", "pageDown", "home"]);
    expect(keysIn("\u0003")).toEqual(["quit"]);
  });

  test("that mean nothing are left out", () => {
    expect(keysIn("x\u001b[99~日\u001b[1;5C")).toEqual([]);
  });
});

const mark = (name: string) => (text: string) => `<${name}>${text}</${name}>`;
const marking = {
  ...PLAIN,
  bold: mark("bold"),
  red: mark("red"),
  yellow: mark("yellow"),
};
