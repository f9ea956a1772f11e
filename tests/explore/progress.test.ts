import { describe, expect, test } from "bun:test";
import { ProgressBar } from "../../src/explore/output/progress.ts";

describe("the progress bar", () => {
  test("is drawn after a second, never goes back, and leaves its line empty", () => {
    let nowMs = 0;
    const drawn: string[] = [];
    const bar = new ProgressBar({
      write: (text) => drawn.push(text),
      nowMs: () => nowMs,
      width: 4,
    });
    bar.draw();
    expect(drawn).toEqual([]);
    nowMs = 1500;
    bar.advance(0.5);
    bar.advance(0.25);
    bar.draw();
    bar.stop();
    expect(drawn).toEqual(["\r\u001b[K██░░  50 % 1.5 s", "\r\u001b[K"]);
  });

  test("of a short question writes nothing", () => {
    const drawn: string[] = [];
    const bar = new ProgressBar({ write: (text) => drawn.push(text), nowMs: () => 0 });
    bar.draw();
    bar.stop();
    expect(drawn).toEqual([]);
  });
});
