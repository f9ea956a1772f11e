// How long RDMA waits for an acknowledgement.

import { expect, test } from "bun:test";
import { timeoutExponent } from "../../src/collector/index.ts";

test("acknowledgements are waited for as long as asked, or the next time that a device can count", () => {
  expect(timeoutExponent(67)).toBe(14);
  expect(timeoutExponent(68)).toBe(15);
  expect(timeoutExponent(0.01)).toBe(2);
  expect(timeoutExponent(0.001)).toBe(1);
  expect(timeoutExponent(30_000)).toBe(23);
});
