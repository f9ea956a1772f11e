// The table: live on a terminal, drawn at most ten times per second however fast snapshots come; elsewhere a plain
// table each second.

import type { PoolSnapshot } from "../../layout/index.ts";
import { PLAIN, type Style } from "../../text/index.ts";
import { Rounds } from "../pools.ts";
import type { SinkOptions } from "../sink.ts";
import { TextSink } from "../text/text-sink.ts";
import { TableModel } from "./model.ts";
import { type Key, SCREEN, type Terminal } from "./terminal.ts";
import { roomForRows, tableLines } from "./view.ts";

const DRAW_EVERY_MS = 100;
/** Without news the view is drawn as often as this, for the silence it then has to show. */
const DRAW_ANYWAY_MS = 1000;
const PRINT_EVERY_MS = 1000;

/** What the table needs of time; the tests have their own. */
interface TableClock {
  nowMs(): number;
  /** @returns ends it */
  every(ms: number, run: () => void): () => void;
}

export interface TableOptions extends SinkOptions {
  /** Where to draw; without it the table is printed each second. */
  terminal?: Terminal;
  style?: Style;
  /** Shown in the head. */
  intervalMs?: number;
  /** What there is to say of agents that cannot be read; the first is shown in the head. */
  troubles?: () => readonly string[];
  /** Called when the person has pressed q or Ctrl-C. Then close the sink. */
  onQuit?: () => void;
  clock?: TableClock;
}

const CLOCK: TableClock = {
  nowMs: () => Date.now(),
  every(ms, run) {
    const timer = setInterval(run, ms);
    timer.unref();
    return () => clearInterval(timer);
  },
};

export class TableSink extends TextSink {
  readonly #model: TableModel;
  readonly #view: View;

  constructor(override readonly options: TableOptions) {
    super(options);
    this.#model = new TableModel(options);
    const { terminal } = options;
    this.#view =
      terminal === undefined
        ? new PrintedView(this.#model, options)
        : new LiveView(this.#model, options, terminal);
  }

  write(snapshot: PoolSnapshot): void {
    this.#view.before(snapshot);
    this.#model.take(snapshot, (this.options.clock ?? CLOCK).nowMs());
    this.#view.after();
  }

  gone(source: string, app?: string): void {
    this.#view.gone(source, app);
    if (app !== undefined) this.#model.end(source, app);
  }

  protected override finish(): void {
    this.#view.close();
  }
}

interface View {
  before(snapshot: PoolSnapshot): void;
  after(): void;
  gone(source: string, app?: string): void;
  close(): void;
}

/** On a screen of its own, which it gives back at the end. */
class LiveView implements View {
  readonly #clock: TableClock;
  readonly #stopListening: () => void;
  readonly #stopDrawing: () => void;
  readonly #restore = () => this.options.write(SCREEN.leave);
  #changed = true;
  #drawnAtMs = Number.NEGATIVE_INFINITY;
  #scroll = 0;

  constructor(
    readonly model: TableModel,
    readonly options: TableOptions,
    readonly terminal: Terminal,
  ) {
    this.#clock = options.clock ?? CLOCK;
    options.write(SCREEN.enter);
    // A defect elsewhere must not leave the person without a cursor.
    process.once("exit", this.#restore);
    this.#stopListening = terminal.listen({
      key: (key) => this.#key(key),
      resize: () => {
        options.write(SCREEN.home + SCREEN.eraseBelow);
        this.#draw();
      },
    });
    this.#stopDrawing = this.#clock.every(DRAW_EVERY_MS, () => this.#drawIfDue());
    this.#draw();
  }

  before(): void {}

  after(): void {
    this.#changed = true;
  }

  gone(): void {}

  close(): void {
    this.#stopDrawing();
    this.#stopListening();
    process.off("exit", this.#restore);
    // What was seen last stays in the terminal's own history.
    const { rows, columns } = this.terminal.size();
    const lines = this.#lines(rows - 1, columns);
    this.options.write(`${SCREEN.leave}${lines.join("\n")}\n`);
  }

  #drawIfDue(): void {
    const now = this.#clock.nowMs();
    if (this.#changed || now - this.#drawnAtMs >= DRAW_ANYWAY_MS) this.#draw();
  }

  #draw(): void {
    const { rows, columns } = this.terminal.size();
    this.#changed = false;
    this.#drawnAtMs = this.#clock.nowMs();
    this.model.forget(this.#drawnAtMs);
    const lines = this.#lines(rows, columns);
    // Each line is erased before it is written: erasing after a full line would take its last character.
    const body = lines.map((line) => SCREEN.eraseLine + line).join("\r\n");
    const below = lines.length < rows ? `\r\n${SCREEN.eraseBelow}` : "";
    this.options.write(SCREEN.home + body + below);
  }

  #lines(rows: number, columns: number): string[] {
    const { style = PLAIN, intervalMs, troubles } = this.options;
    return tableLines(this.model, {
      style,
      rows,
      columns,
      scroll: this.#scroll,
      nowMs: this.#clock.nowMs(),
      ...(intervalMs === undefined ? {} : { intervalMs }),
      troubles: troubles?.() ?? [],
    });
  }

  #key(key: Key): void {
    if (key === "quit") {
      this.options.onQuit?.();
      return;
    }
    const room = roomForRows(this.terminal.size().rows);
    const last = Math.max(0, this.model.rows().length - room);
    const to = {
      up: this.#scroll - 1,
      down: this.#scroll + 1,
      pageUp: this.#scroll - room,
      pageDown: this.#scroll + room,
      home: 0,
      end: last,
    }[key];
    this.#scroll = Math.max(0, Math.min(to, last));
    this.#draw();
  }
}

/** One table after the other: after the first round, then each second, and at the end if something came since. */
class PrintedView implements View {
  readonly #clock: TableClock;
  readonly #rounds = new Rounds();
  #printedAtMs = Number.NEGATIVE_INFINITY;
  #pending = false;

  constructor(
    readonly model: TableModel,
    readonly options: TableOptions,
  ) {
    this.#clock = options.clock ?? CLOCK;
  }

  before(snapshot: PoolSnapshot): void {
    if (this.#rounds.begins(snapshot)) this.#printIfDue();
  }

  after(): void {
    this.#pending = true;
  }

  gone(source: string, app?: string): void {
    this.#rounds.gone(source, app);
  }

  close(): void {
    if (this.#pending) this.#print();
  }

  #printIfDue(): void {
    // Snapshots at an interval of a second are a little early at times.
    if (this.#pending && this.#clock.nowMs() - this.#printedAtMs >= PRINT_EVERY_MS * 0.95)
      this.#print();
  }

  #print(): void {
    const { style = PLAIN, intervalMs, write } = this.options;
    const nowMs = this.#clock.nowMs();
    this.model.forget(nowMs);
    const lines = tableLines(this.model, {
      style,
      nowMs,
      ...(intervalMs === undefined ? {} : { intervalMs }),
    });
    const apart = this.#printedAtMs === Number.NEGATIVE_INFINITY ? "" : "\n";
    this.#printedAtMs = nowMs;
    this.#pending = false;
    write(`${apart}${lines.join("\n")}\n`);
  }
}
