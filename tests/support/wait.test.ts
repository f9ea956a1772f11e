import { expect, test } from "bun:test";
import { patience, patienceNow, slowness, slownessOf } from "./speed.ts";
import { until } from "./wait.ts";

test("a machine is slow by its processor, by the clock, and by who waits for one", () => {
  const free = { wallMs: 20, cpuMs: 20, crowd: 0.3 };
  expect(slownessOf(free)).toBe(1);
  expect(slownessOf({ ...free, wallMs: 10, cpuMs: 10 })).toBe(1);
  // An emulated processor.
  expect(slownessOf({ ...free, wallMs: 400, cpuMs: 400 })).toBe(20);
  // A load of 24 on two processors, whether the work was disturbed by it or not.
  expect(slownessOf({ ...free, crowd: 12 })).toBe(12);
  expect(slownessOf({ ...free, wallMs: 240 })).toBe(12);
  expect(slownessOf({ wallMs: 2000, cpuMs: 400, crowd: 12 })).toBe(30);
  expect(slowness()).toBeGreaterThanOrEqual(1);
  expect(patienceNow(100)).toBeGreaterThanOrEqual(patience(100));
});

test("waiting ends with the first answer, or with the last reason if there is none", async () => {
  let asked = 0;
  expect(await until("it is there", () => ++asked > 3 && "there")).toBe("there");
  const never = until(
    "it comes",
    () => {
      throw new Error("not here");
    },
    10,
  );
  expect(never).rejects.toThrow(/^waited \d+ s in vain until it comes: not here$/);
  await never.catch(() => {});
});
