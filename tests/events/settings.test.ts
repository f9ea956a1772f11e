// What an operator asks services to record: which rule counts, for how long, and what stands in rings then.

import { describe, expect, test } from "bun:test";
import {
  ControlledRing,
  controlBy,
  EventRules,
  NO_CONTROL,
  type RingControl,
} from "../../src/events/settings.ts";
import { CONTROL_OFF, CONTROL_SWITCH, sampleThreshold } from "../../src/layout/index.ts";

const AUTH = { app: "shop", service: "auth" };
const everything = { apps: [], services: [] };

describe("rules of what is recorded", () => {
  test("say of a ring what the last one says that fits it and is not over", () => {
    const rules = [
      { ...everything, level: "warn", spans: false, untilMs: 0 },
      { apps: ["shop"], services: ["a*"], level: "debug", sample: 1 / 16, untilMs: 2000 },
      { apps: ["bank"], services: [], level: "off", untilMs: 0 },
    ] as const;
    expect(controlBy(rules, AUTH, 1000)).toEqual({
      level: 5,
      spans: CONTROL_SWITCH.off,
      measures: 0,
      sample: sampleThreshold(1 / 16),
      untilMs: 2000,
    });
    expect(controlBy(rules, AUTH, 2000)).toEqual({ ...NO_CONTROL, level: 3, spans: 2 });
    expect(controlBy(rules, { app: "bank", service: "x" }, 0).level).toBe(CONTROL_OFF);
  });

  test("add up for the same names, and are taken back for those, or all of them", () => {
    const rules = new EventRules();
    const auth = { apps: ["shop"], services: ["auth"] };
    rules.set({ ...auth, level: "debug", untilMs: 0 });
    rules.set({ ...auth, spans: true, untilMs: 0 });
    rules.set({ ...everything, measures: false, untilMs: 0 });
    expect(rules.all()).toEqual([
      { ...auth, level: "debug", spans: true, untilMs: 0 },
      { ...everything, measures: false, untilMs: 0 },
    ]);
    rules.reset(auth);
    expect(rules.all()).toHaveLength(1);
    rules.reset(everything);
    expect(rules.all()).toEqual([]);
  });

  test("are bounded, and those that are over make room", () => {
    const rules = new EventRules();
    const set = (service: string, untilMs: number) =>
      rules.set({ apps: [], services: [service], level: "debug", untilMs });
    for (let i = 0; i < 256; i++)
      expect(set(`s${i}`, i === 0 ? Date.now() + 60_000 : 0)).toBe(true);
    expect(set("one more", 0)).toBe(false);
    expect(set("s5", 0)).toBe(true);
    expect(rules.all(Date.now() + 61_000)).toHaveLength(255);
    expect(set("one more", 0)).toBe(true);
  });
});

describe("a ring that rules are stored in", () => {
  function ring(found: RingControl = NO_CONTROL) {
    const stored: RingControl[] = [];
    return { stored, controlled: new ControlledRing(AUTH, found, (each) => stored.push(each)) };
  }

  test("is stored into only when something changes, and when its time is over", () => {
    const { stored, controlled } = ring();
    const rules = [{ ...everything, level: "debug", untilMs: 5000 }] as const;
    expect(controlled.follow({ rules }, 1000)).toBe(true);
    controlled.follow({ rules }, 2000);
    expect(stored).toEqual([{ ...NO_CONTROL, level: 5, untilMs: 5000 }]);
    controlled.follow({ rules }, 5000);
    expect(stored.at(-1)).toEqual(NO_CONTROL);
    expect(controlled.follow({ rules: [] }, 6000)).toBe(false);
    expect(stored).toHaveLength(2);
  });

  test("keeps what an agent has set that has ended, until its time is over or it is taken back", () => {
    const found = { ...NO_CONTROL, level: 5, untilMs: 5000 };
    const first = ring(found);
    first.controlled.follow({ rules: [] }, 1000);
    expect(first.stored).toEqual([]);
    first.controlled.follow({ rules: [] }, 5000);
    expect(first.stored).toEqual([NO_CONTROL]);
    const second = ring(found);
    second.controlled.follow({ rules: [], cleared: { apps: ["bank"], services: [] } }, 1000);
    expect(second.stored).toEqual([]);
    second.controlled.follow({ rules: [], cleared: { apps: ["sh*"], services: [] } }, 1000);
    expect(second.stored).toEqual([NO_CONTROL]);
  });
});
