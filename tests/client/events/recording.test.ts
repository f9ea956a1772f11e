// What is recorded is what is read: all kinds of values, the order of stores, a ring that is full, and secrets.

import { describe, expect, spyOn, test } from "bun:test";
import fc from "fast-check";
import { RingWriter } from "../../../src/client/events/ring-writer.ts";
import { MicroView } from "../../../src/client/index.ts";
import { DEFINITION, RING_SHIPPER, type RingEvent } from "../../../src/layout/index.ts";
import {
  emptyRing,
  memoryOf,
  readAll,
  readerOf,
  SMALL,
  TestClock,
  TestRing,
} from "../../support/rings.ts";

/** Properties as they are read back. */
function recorded(properties: unknown, ring = new TestRing()): Record<string, unknown> {
  return logged(properties, ring).properties;
}

function logged(properties: unknown, ring = new TestRing()) {
  ring.encoder.reset().text("message").properties(properties);
  ring.writer.log(3, 0, 0, 0, ring.encoder, 1);
  const [event] = readAll(ring.reader());
  if (event?.kind !== "log") throw new Error(`read ${JSON.stringify(event)}`);
  return event as RingEvent & { kind: "log"; properties: Record<string, unknown> };
}

describe("what is recorded", () => {
  test("reads back: texts, numbers, booleans, null, lists and objects", () => {
    const text = fc.string({ unit: "grapheme", maxLength: 40 }).map((each) => each.toWellFormed());
    const { value } = fc.letrec<{ value: unknown }>((tie) => ({
      value: fc.oneof(
        { depthSize: "small", maxDepth: 4 },
        text,
        fc.double(),
        fc.integer(),
        fc.boolean(),
        fc.constant(null),
        fc.array(tie("value"), { maxLength: 4 }),
        fc.dictionary(
          text.map((key) => `_${key}_`),
          tie("value"),
          { maxKeys: 4 },
        ),
      ),
    }));
    const properties = fc.dictionary(
      text.map((key) => `k${key}_`),
      value,
      { maxKeys: 6 },
    );
    fc.assert(
      fc.property(properties, (given) => {
        // Dictionaries of the generator have no prototype.
        expect(recorded(given)).toEqual(structuredClone({ ...given }));
      }),
    );
  });

  test("has -0, NaN and infinities as they are, and BigInt, dates and bytes as text", () => {
    const given = {
      zero: -0,
      nan: Number.NaN,
      far: Number.NEGATIVE_INFINITY,
      big: 2n ** 70n,
      at: new Date(0),
      never: new Date(Number.NaN),
      bytes: new Uint8Array(5),
      symbol: Symbol("s"),
      call: function named() {},
      left: undefined,
      map: new Map<unknown, unknown>([["a", 1]]),
      set: new Set([1, 2]),
      url: new URL("http://x/"),
    };
    expect(recorded(given)).toEqual({
      zero: -0,
      nan: Number.NaN,
      far: Number.NEGATIVE_INFINITY,
      big: "1180591620717411303424",
      at: "1970-01-01T00:00:00.000Z",
      never: "Invalid Date",
      bytes: "[5 bytes]",
      symbol: "Symbol(s)",
      call: "[function named]",
      map: { a: 1 },
      set: [1, 2],
      url: "http://x/",
    });
  });

  test("has a key __proto__ as a key like any other", () => {
    const read = recorded(JSON.parse('{"__proto__": {"polluted": 1}}'));
    expect(Object.keys(read)).toEqual(["__proto__"]);
    expect((read as { polluted?: unknown }).polluted).toBeUndefined();
  });

  test("has a message once in the table when it comes again", () => {
    const ring = new TestRing();
    for (let i = 0; i < 5; i++) ring.log("the same message again and again");
    expect(readAll(ring.reader()).map((event) => event.kind === "log" && event.message)).toEqual(
      new Array(5).fill("the same message again and again"),
    );
    const text = Buffer.from(ring.bytes).toString("latin1");
    expect(text.split("the same message").length - 1).toBe(2);
  });

  test("is written out where the table of definitions is full", () => {
    const ring = new TestRing();
    for (let i = 0; i < 300; i++) expect(ring.interner.key(`key number ${i}`).id >= 0).toBe(true);
    expect(ring.interner.key("one more key").id).toBe(0);
    expect(recorded({ "one more key": 1 }, ring)).toEqual({ "one more key": 1 });
    expect(ring.interner.define(DEFINITION.span, "query", "", "")).toBe(0);
    ring.encoder.reset().text("query").text("").text("");
    ring.begin(0);
    ring.encoder.reset().text("latency").text("ms").text("").text("");
    ring.writer.measureWith(0, 5, ring.encoder, 0);
    expect(readAll(ring.reader()).slice(1)).toMatchObject([
      { kind: "begin", name: "query" },
      { kind: "measure", name: "latency", unit: "ms", value: 5 },
    ]);
  });
});

describe("hostile properties", () => {
  test("are survived: getters that throw, proxies, circles, toJSON", () => {
    const circle: Record<string, unknown> = { a: 1 };
    circle["self"] = circle;
    const thrower = () => {
      throw new Error("no");
    };
    const given = {
      get bad() {
        return thrower();
      },
      circle,
      proxy: new Proxy({}, { ownKeys: thrower, get: thrower, getPrototypeOf: thrower }),
      revoked: revoked(),
      json: { toJSON: thrower },
      endless: endless(),
      fine: "yes",
    };
    expect(recorded(given)).toEqual({
      bad: "[threw]",
      circle: { a: 1, self: "[circular]" },
      proxy: "[threw]",
      revoked: "[threw]",
      json: "[threw]",
      endless: "[too deep]",
      fine: "yes",
    });
    expect(logged(revoked())).toMatchObject({ properties: {}, truncated: true });
    expect(recorded("text")).toEqual({});
  });

  test("are bounded: depth, number and length, and what was cut says how long it was", () => {
    let deep: object = { end: 1 };
    for (let i = 0; i < 20; i++) deep = { deep };
    expect(logged({ deep })).toMatchObject({ truncated: true });
    expect(JSON.stringify(recorded({ deep })).split("deep").length - 1).toBeLessThan(12);

    const many = Object.fromEntries(Array.from({ length: 500 }, (_, i) => [`p${i}`, i]));
    const wide = logged(many);
    expect(Object.keys(wide.properties)).toHaveLength(128);
    expect(wide.truncated).toBe(true);
    expect(recorded({ list: new Array(1000).fill(1) })["list"]).toHaveLength(127);

    const long = logged({ text: "ä".repeat(100_000), after: 1 });
    const text = long.properties["text"] as string;
    expect(Buffer.byteLength(text)).toBeLessThan(65_600);
    expect(text).toEndWith("ä… (100000 characters)");
    expect(long.truncated).toBe(true);
  });

  function revoked(): object {
    const { proxy, revoke } = Proxy.revocable({}, {});
    revoke();
    return proxy;
  }

  function endless(): object {
    return { toJSON: endless };
  }
});

describe("a secret", () => {
  const SECRET = "correct-horse-battery";
  const secrets = {
    password: SECRET,
    "X-Api-Key": SECRET,
    headers: { Authorization: `Bearer ${SECRET}`, "set-cookie": [SECRET] },
    list: [{ clientSecret: { nested: SECRET } }, new Map([["accessToken", SECRET]])],
    DB_PASSWORD: SECRET,
    fetched: new Headers({ cookie: SECRET }),
    cause: Object.assign(new Error("x"), { token: SECRET }),
  };

  test("is nowhere in the bytes, at no depth, and neither is what a hook hides", () => {
    const ring = new TestRing({
      redact: ["iban"],
      redactHook: (_key, value) =>
        typeof value === "string" ? value.replaceAll(/\d{4}-\d{4}/g, "…") : value,
    });
    const read = recorded({ ...secrets, iban: SECRET, note: "card 1234-5678" }, ring);
    expect(read).toMatchObject({ password: "[redacted]", iban: "[redacted]", note: "card …" });
    const bytes = Buffer.from(ring.bytes).toString("latin1");
    expect(bytes).not.toContain(SECRET);
    expect(bytes).not.toContain("1234-5678");
  });

  test("of a hook that throws is hidden too", () => {
    const redactHook = () => {
      throw new Error("no");
    };
    expect(recorded({ a: 1 }, new TestRing({ redactHook }))).toEqual({ a: "[redacted]" });
  });

  test.each([
    ...["pass", "auth", "basicAuth", "sid", "otp", "PIN", "sig", "smtp.auth", "auth_2"],
    ...["token_value", "jwt_1", "tokenValues", "password2", "_header"],
  ])("is what %s has", (name) => {
    expect(recorded({ [name]: SECRET })).toEqual({ [name]: "[redacted]" });
  });

  test("is the value in a pair of name and value, and in headers in turn", () => {
    const list = ["Host", "x", "Authorization", SECRET, "Accept", "y"];
    const ring = new TestRing();
    expect(
      recorded(
        {
          rawHeaders: list,
          entries: [
            ["password", SECRET],
            ["user", "ada"],
          ],
          set: new Set(["x-api-key", SECRET]),
          grants: ["authorization_code", "password", "none"],
        },
        ring,
      ),
    ).toEqual({
      rawHeaders: ["Host", "x", "Authorization", "[redacted]", "Accept", "y"],
      entries: [
        ["password", "[redacted]"],
        ["user", "ada"],
      ],
      set: ["x-api-key", "[redacted]"],
      grants: ["authorization_code", "password", "none"],
    });
    expect(Buffer.from(ring.bytes).toString("latin1")).not.toContain(SECRET);
  });

  test.each([
    [new URL(`http://ada:${SECRET}@x/?a=1`), "http://[redacted]@x/?a=1"],
    [`postgres://ada:${SECRET}@db:5432/shop`, "postgres://[redacted]@db:5432/shop"],
    [
      `https://x/cb?a=1&token=${SECRET}&b#id_token=${SECRET}`,
      "https://x/cb?a=1&token=[redacted]&b#id_token=[redacted]",
    ],
    [`/cb?a=1&access%5Ftoken=${SECRET}`, "/cb?a=1&access%5Ftoken=[redacted]"],
    ["https://x/@ada/a?at=b@c&tokenCount=3", "https://x/@ada/a?at=b@c&tokenCount=3"],
    ["see http://x/ or a@b", "see http://x/ or a@b"],
  ])("is taken out of the address %s", (address, shown) => {
    expect(recorded({ address, all: [address] })).toEqual({ address: shown, all: [shown] });
  });

  test("of a request that has failed is hidden in its error", () => {
    const error = Object.assign(new Error("no answer"), {
      request: { _header: `GET / HTTP/1.1\r\nAuthorization: Bearer ${SECRET}\r\n` },
      options: { auth: `ada:${SECRET}` },
    });
    expect(recorded({ error })["error"]).toMatchObject({
      request: { _header: "[redacted]" },
      options: { auth: "[redacted]" },
    });
  });

  test("is told by its name, and what only counts secrets is none", () => {
    const names = [
      "tokenCount",
      "passport",
      "author",
      "keyboard",
      "cookieConsent",
      "compass",
      "mapping",
    ];
    const plain = Object.fromEntries(names.map((name) => [name, 1]));
    expect(recorded(plain)).toEqual(plain);
  });
});

describe("a full ring", () => {
  /** What is recorded until nothing more is. */
  function until(ring: TestRing, record: () => void): void {
    for (let i = 0; i < SMALL.ringBytes / 16; i++) record();
    void ring;
  }

  test("refuses spans at half, measures at three quarters, logs at nine tenths, and no error before the end", () => {
    const ring = new TestRing();
    const used = () =>
      (new DataView(ring.bytes.buffer).getUint32(SMALL.stateOffset, true) * 8) / SMALL.ringBytes;
    const span = ring.interner.define(DEFINITION.span, "query", "", "");
    const measure = ring.interner.define(DEFINITION.measure, "latency", "ms", "", "");
    until(ring, () => void ring.begin(span));
    expect(used()).toBeCloseTo(0.5, 2);
    until(ring, () => ring.writer.measure(measure, 1));
    expect(used()).toBeCloseTo(0.75, 2);
    until(ring, () => ring.log("info", 3));
    expect(used()).toBeCloseTo(0.9, 2);
    const before = readAll(ring.reader()).length;
    for (let i = 0; i < 100; i++) ring.log(`error ${i}`, 1);
    expect(readAll(ring.reader())).toHaveLength(before + 100);
    until(ring, () => ring.log("error", 1));
    expect(used()).toBeCloseTo(1, 2);
    const { refusals } = ring.reader();
    for (const kind of ["spans", "measures", "logs", "severe"] as const) {
      expect(refusals[kind]).toBeGreaterThan(100);
    }
  });

  test("overwrites nothing, and goes on when whoever ships makes room, over many laps", () => {
    const ring = new TestRing();
    const reader = ring.reader();
    const read: string[] = [];
    let written = 0;
    for (let lap = 0; lap < 30; lap++) {
      for (let i = 0; i < 400; i++) ring.log(`${written++} ${"x".repeat((written * 37) % 290)}`, 1);
      for (const event of readAll(reader)) {
        if (event.kind !== "log") throw new Error(JSON.stringify(event));
        read.push(event.message.split(" ")[0]!);
      }
      ring.shipAll();
    }
    expect(read).toEqual(Array.from({ length: written }, (_, i) => String(i)));
    expect(reader.refusals.severe).toBe(0);
  });
});

describe("on processors that show stores in another order", () => {
  test("the head alone is published in order, and the bytes are the same", () => {
    const images = ["plain", "ordered"].map((how) => {
      const bytes = emptyRing();
      const publish = (ints: Int32Array, at: number, value: number) => {
        if (how === "plain") ints[at] = value;
        else Atomics.store(ints, at, value);
      };
      const writer = new RingWriter(memoryOf(bytes), SMALL, new TestClock(), publish);
      for (let i = 0; i < 100; i++) writer.measure(1, i);
      return bytes;
    });
    expect(images[1]).toEqual(images[0]!);
    expect(readAll(readerOf(images[1]!))).toHaveLength(100);
  });
});

describe("options of events", () => {
  test("are looked at when the client is made", () => {
    const made = (events: object) => () => new MicroView({ app: "shop", service: "auth", events });
    expect(made({ redacts: [] })).toThrow("has no option redacts");
    expect(made({ redact: "iban" })).toThrow("redact has to be an array of strings");
    expect(made({ redactHook: 5 })).toThrow("redactHook has to be a function");
  });
});

describe("a writer that dies between any two stores", () => {
  test("leaves every record whose call has returned, and no other", () => {
    const stores: [Int32Array | Float64Array, number, number][] = [];
    const bytes = emptyRing();
    const memory = memoryOf(bytes);
    const watched = <T extends Int32Array | Float64Array>(view: T): T =>
      new Proxy(view, {
        get: (target, key) => Reflect.get(target, key, target),
        set(target, key, value) {
          stores.push([target, Number(key), value]);
          target[Number(key)] = value;
          return true;
        },
      });
    // Its own look at who ships is all that a writer does with Atomics here.
    const load = spyOn(Atomics, "load").mockImplementation(
      ((_view: unknown, at: number) => memory.ints[at]) as never,
    );
    const returned: number[] = [];
    const ship = () => {
      const value = memory.ints[SMALL.stateOffset / 4]!;
      const total = (SMALL.shipperOffset + RING_SHIPPER.total) / 8;
      memory.doubles[total] = value;
      stores.push([memory.doubles, total, value]);
      memory.ints[SMALL.shipperOffset / 4] = value;
      stores.push([memory.ints, SMALL.shipperOffset / 4, value]);
    };
    try {
      const ring = new TestRing(
        {},
        { ints: watched(memory.ints), doubles: watched(memory.doubles) },
      );
      // Long lines until the lap is nearly over, then short ones of each kind across its end.
      for (let i = 0; i < 3; i++) ring.log(`${i} ${"x".repeat(43_000)}`, 1);
      ship();
      for (let i = 3; i < 40; i++) {
        ring.log(`${i} ${"y".repeat((i * 29) % 90)}`, 1);
        returned.push(stores.length);
      }
    } finally {
      load.mockRestore();
    }

    const image = emptyRing();
    const views = memoryOf(image);
    const reader = readerOf(image);
    const first = returned[0]!;
    const read: string[] = [];
    let done = 0;
    for (const [i, [view, at, value]] of stores.entries()) {
      if (view instanceof Float64Array) views.doubles[at] = value;
      else views.ints[at] = value;
      if (i + 1 === returned[done]) done++;
      // The long lines only bring the ring to where it is interesting.
      if (i < first - 60) continue;
      for (const reading of [reader, readerOf(image)]) {
        const events = readAll(reading);
        expect(events.filter(({ kind }) => kind !== "log" && kind !== "missed")).toEqual([]);
        const texts = events.flatMap((event) => (event.kind === "log" ? [event.message] : []));
        const numbers = texts.map((text) => text.split(" ")[0]!);
        if (reading === reader) read.push(...numbers.filter((number) => Number(number) >= 3));
        else if (numbers.every((number) => Number(number) >= 3)) expect(numbers).toEqual(read);
      }
      // The one whose call has not returned may be there or not.
      expect([done, done + 1]).toContain(read.length);
    }
    expect(read).toEqual(returned.map((_, i) => String(i + 3)));
  });
});
