// What is read from files is read again when they change, and what cannot be used leaves what was before.

import { expect, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createLog } from "../../src/guard/log.ts";
import { Renewal } from "../../src/guard/renewal.ts";
import { WatchedFiles } from "../../src/guard/watched-files.ts";
import { type LogLine, TestHost } from "../support/host.ts";
import { until } from "../support/wait.ts";

/** A file that holds a number. */
function watching(host: TestHost, take: (number: number) => void) {
  const path = join(host.folder, "number");
  const put = (text: string) => writeFileSync(path, text);
  put("1");
  const lines: LogLine[] = [];
  const renewal = new Renewal(createLog("info", true, (line) => lines.push(JSON.parse(line))));
  host.onEnd(() => renewal.stop());
  const read = () => {
    const number = Number(readFileSync(path, "utf8"));
    if (Number.isNaN(number)) throw new Error("it is no number");
    return number;
  };
  const files = new WatchedFiles("the numbers", [undefined, path], read);
  const follow = () => renewal.follow(files, take);
  return { put, lines, renewal, files, follow };
}

test("a file that changes is taken, and one that cannot be used is told of once for each reason", async () => {
  await using host = new TestHost();
  const taken: number[] = [];
  const { put, lines, renewal, follow } = watching(host, (number) => taken.push(number));
  follow();
  put("2");
  await until("it is taken", () => taken.includes(2));
  put("two");
  await until("it is told of", () => lines.length > 0);
  renewal.renewNow();
  expect(lines).toMatchObject([
    { level: "error", message: "the numbers stay as they were", reason: "it is no number" },
  ]);
  put("3");
  await until("the next one is taken", () => taken.includes(3));
  renewal.renewNow();
  renewal.stop();
  renewal.renewNow();
  expect(taken).toEqual([2, 3, 3]);
});

test("what could not be taken is tried again though no file changes", async () => {
  await using host = new TestHost();
  let tries = 0;
  const { lines, renewal, follow } = watching(host, () => {
    if (++tries < 3) throw new Error("the port is taken");
  });
  follow();
  renewal.renewNow();
  await until("it is taken", () => tries === 3);
  expect(lines.map(({ reason }) => reason)).toEqual(["the port is taken"]);
});

test("what changes after it was read first is taken, be it before anybody follows", async () => {
  await using host = new TestHost();
  const taken: number[] = [];
  const { put, files, follow } = watching(host, (number) => taken.push(number));
  // Of another length: the clock of files is a coarse one.
  put("22");
  follow();
  await until("it is taken", () => taken.length > 0);
  expect([files.first, ...taken]).toEqual([1, 22]);
});

test("what no file was given for is read once", () => {
  const renewal = new Renewal(createLog("info", true, () => {}));
  let reads = 0;
  const files = new WatchedFiles("the numbers", [undefined], () => ++reads);
  renewal.follow(files, () => {});
  renewal.renewNow();
  expect([files.first, reads]).toEqual([1, 1]);
});
