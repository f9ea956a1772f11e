// RDMA over the mocked device. What it holds of a real one, too, is in tests/support/verbs-contract.ts.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { MOCK_LIBRARY, MockVerbs, NOTHING_LIVE } from "../support/mock-verbs.ts";
import { verbsContract } from "../support/verbs-contract.ts";

let mock: MockVerbs;
beforeAll(() => {
  mock = new MockVerbs();
});
afterAll(() => mock[Symbol.dispose]());

verbsContract({ name: "mock0", gidIndex: 0, library: MOCK_LIBRARY });

test("devices take with them what was opened on them", () => {
  expect(mock.live).toEqual(NOTHING_LIVE);
});
