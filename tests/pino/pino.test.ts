// What is logged by pino is recorded as it is said, level by level, and follows what operators ask for.

import { expect, test } from "bun:test";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import pino from "pino";
import { LineReader } from "../../src/client/index.ts";
import { LEVELS } from "../../src/layout/index.ts";
import { destination, microview } from "../../src/pino/index.ts";
import { ROOT, TestHost } from "../support/host.ts";
import { Recorded } from "../support/recorded.ts";
import { readAll, TestRing } from "../support/rings.ts";
import { surroundings } from "../support/surroundings.ts";

const DEBUG = LEVELS.indexOf("debug") + 1;
const ERROR = LEVELS.indexOf("error") + 1;
const OFF = 7;

function setUp(host: TestHost, options: object = {}) {
  const mv = host.client({ poolDir: host.poolDir, ...options });
  return { mv, recorded: new Recorded(host), log: microview(pino, { mv }) };
}

test("a call of each level is a log of that level, with message and properties", async () => {
  await using host = new TestHost();
  const { recorded, log: make } = setUp(host);
  const log = make({ level: "trace" });
  for (const level of LEVELS) log[level]({ user: 7, of: level, ü: "ä" }, `at ${level} %s`, "ö");
  expect(
    recorded.of("log").map(({ level, message, properties }) => [level, message, properties]),
  ).toEqual(LEVELS.map((level) => [level, `at ${level} ö`, { user: 7, of: level, ü: "ä" }]));
});

test("a client that was made is closed with pino or a destination, and one that was given stays open", async () => {
  await using host = new TestHost();
  const { socketPath: socket, poolDir } = host;
  const source = { app: "shop", service: "auth", socket, poolDir };
  const { mv, recorded } = setUp(host);
  await microview(pino, { mv }).close();
  await destination({ mv }).close();
  mv.log.info("by the client that was given");
  const made = microview(pino, source);
  const log = made();
  const to = destination(source);
  const other = pino(to);
  log.info("by pino's own");
  other.info("by a destination's own");
  await made.close();
  await to[Symbol.asyncDispose]();
  log.info("too late");
  other.info("too late");
  expect(recorded.messages.sort()).toEqual([
    "by a destination's own",
    "by pino's own",
    "by the client that was given",
  ]);
});

test("what pino exports beside itself is there, and by its other names it records too", async () => {
  await using host = new TestHost();
  const { recorded, log: make } = setUp(host);
  expect(make.levels).toEqual(pino.levels);
  expect(make.stdSerializers).toBe(pino.stdSerializers);
  make.pino().info("by its name");
  (make as unknown as { default: typeof pino }).default().info("by default");
  expect(recorded.messages).toEqual(["by its name", "by default"]);
});

test("an error is recorded as pino serialises it, with its stack and cause", async () => {
  await using host = new TestHost();
  const { recorded, log: make } = setUp(host);
  make().error(new Error("no answer", { cause: new Error("refused") }));
  make().error({ err: new TypeError("of no kind"), attempt: 2 }, "failed");
  expect(recorded.of("log")).toMatchObject([
    { level: "error", message: "no answer", properties: { err: { type: "Error" } } },
    { message: "failed", properties: { attempt: 2, err: { type: "TypeError" } } },
  ]);
  const [first] = recorded.of("log");
  expect((first!.properties["err"] as { stack: string }).stack).toMatch(
    /caused by: Error: refused/,
  );
});

test("names, bindings of children, prefixes, mixins and serialisers are recorded; time, process and host are not", async () => {
  await using host = new TestHost();
  const { recorded, log: make } = setUp(host);
  const log = make({
    name: "web",
    mixin: () => ({ mixed: true }),
    serializers: { user: (user: { id: number }) => user.id },
  });
  log.child({ request: "r1" }, { msgPrefix: "[http] " }).info({ user: { id: 5 } }, "answered");
  expect(recorded.of("log")).toMatchObject([{ message: "[http] answered", target: "web" }]);
  expect(recorded.of("log")[0]!.properties).toEqual({
    name: "web",
    request: "r1",
    mixed: true,
    user: 5,
  });
});

test("other keys of messages, labels for levels and levels of one's own are understood", async () => {
  await using host = new TestHost();
  const { recorded, log: make } = setUp(host);
  make({ messageKey: "message" }).warn({ msg: "a property" }, "the message");
  make({ formatters: { level: (label) => ({ severity: label }) } }).error("labelled");
  make({ customLevels: { audit: 45 } }).audit("of its own");
  expect(
    recorded.of("log").map(({ level, message, properties }) => [level, message, properties]),
  ).toEqual([
    ["warn", "the message", { msg: "a property" }],
    ["error", "labelled", { severity: "error" }],
    ["warn", "of its own", {}],
  ]);
});

test("its level decides, until an operator asks for another, for children and their own levels too", async () => {
  await using host = new TestHost();
  const { mv, recorded, log: make } = setUp(host);
  const log = make({ level: "info" });
  const child = log.child({ child: 1 });
  const strict = log.child({ child: 2 }, { level: "error" });
  const silent = log.child({ child: 3 }, { level: "silent" });
  const all = (when: string) => {
    for (const each of [log, child, strict, silent]) {
      each.debug(`debug ${when}`);
      each.warn(`warn ${when}`);
    }
  };
  all("before");
  mv.log.info("the ring is there");
  recorded.ask(DEBUG);
  expect([log, child, strict, silent].map((each) => each.isLevelEnabled("debug"))).toEqual([
    ...[true, true, true, false],
  ]);
  all("more");
  recorded.ask(ERROR);
  all("less");
  expect([log, strict].map((each) => each.isLevelEnabled("warn"))).toEqual([false, false]);
  recorded.ask(OFF);
  log.fatal("off");
  recorded.ask(0);
  all("after");
  expect(log.isLevelEnabled("debug")).toBe(false);
  expect(recorded.messages).toEqual([
    ...["warn before", "warn before", "the ring is there"],
    ...["debug more", "warn more", "debug more", "warn more", "debug more", "warn more"],
    ...["warn after", "warn after"],
  ]);
});

test("a level that the service sets while it runs is taken", async () => {
  await using host = new TestHost();
  const { recorded, log: make } = setUp(host);
  const log = make({ level: "info" });
  log.level = "debug";
  log.debug("seen");
  log.level = "fatal";
  log.error("not seen");
  expect(log.level).toBe("fatal");
  expect(recorded.messages).toEqual(["seen"]);
});

test("a destination of the service gets the lines that its own level lets pass, as without us", async () => {
  await using host = new TestHost();
  const { mv, recorded, log: make } = setUp(host);
  mv.log.info("the ring is there");
  recorded.ask(DEBUG);
  const path = join(host.folder, "lines");
  const log = make({ level: "info" }, pino.destination({ dest: path, sync: true }));
  log.debug("for us");
  log.info({ a: 1 }, "for both");
  recorded.ask(ERROR);
  log.info("for the file");
  const lines = readFileSync(path, "utf8")
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
  expect(lines).toMatchObject([{ level: 30, a: 1, msg: "for both" }, { msg: "for the file" }]);
  expect(typeof lines[0].time).toBe("number");
  expect(recorded.of("log").slice(1)).toMatchObject([
    { level: "debug", message: "for us", properties: {} },
    { level: "info", message: "for both", properties: { a: 1 } },
  ]);
});

test("several destinations of pino keep their levels", async () => {
  await using host = new TestHost();
  const { log: make, recorded } = setUp(host);
  const seen: string[] = [];
  const into = (name: string) => ({
    write: (line: string) => void seen.push(`${name}: ${JSON.parse(line).msg}`),
  });
  const streams = pino.multistream([
    { level: "info", stream: into("all") },
    { level: "error", stream: into("errors") },
  ]);
  const log = make({ level: "info" }, streams);
  log.info("fine");
  log.error("not fine");
  expect(seen).toEqual(["all: fine", "all: not fine", "errors: not fine"]);
  expect(recorded.messages).toEqual(["fine", "not fine"]);
});

test("it can be one of several destinations of a pino that is not ours", async () => {
  await using host = new TestHost();
  const { mv, recorded } = setUp(host);
  const log = pino({}, pino.multistream([{ stream: destination({ mv }) }]));
  log.info({ a: { b: [1] } }, 'with "quotes"');
  pino(destination({ mv })).warn("alone");
  expect(recorded.of("log")).toMatchObject([
    { level: "info", message: 'with "quotes"', properties: { a: { b: [1] } } },
    { level: "warn", message: "alone", properties: {} },
  ]);
});

test("a getter that logs by itself confuses no levels", async () => {
  await using host = new TestHost();
  const { recorded, log: make } = setUp(host);
  for (const to of [undefined, { write() {} }]) {
    const log = make({}, to);
    log.error(
      {
        get value() {
          log.info("within");
          return 1;
        },
      },
      "around",
    );
  }
  expect(recorded.of("log").map(({ level, message }) => [level, message])).toEqual([
    ...[
      ["info", "within"],
      ["error", "around"],
    ],
    ...[
      ["info", "within"],
      ["error", "around"],
    ],
  ]);
});

test("secrets are hidden by their names, wherever they are in a line", async () => {
  await using host = new TestHost();
  const { mv, recorded, log: make } = setUp(host);
  const secret = "swordfish";
  const log = make({ base: { clientSecret: secret } });
  const child = log.child({ authorization: secret });
  child.info({ password: secret, user: 1 }, "flat");
  child.info({ request: { headers: { cookie: secret, "x-api-key": secret } } }, "within");
  child.info({ password: secret, note: 'with "quotes"' }, "escaped");
  child.error(Object.assign(new Error("failed"), { token: secret }));
  make({ formatters: { log: () => ({ passwords: [secret] }) } }).info({}, "formatted");
  make({ hooks: { streamWrite: (line) => line.replace("{", "{{") } }).info(
    { token: secret },
    "no JSON",
  );
  destination({ mv }).write(`{"token":"${secret}","msg":"cut`);
  expect(recorded.messages).toEqual([
    ...["flat", "within", "escaped", "failed", "formatted"],
    ...["a line that is no JSON", "a line that is no JSON"],
  ]);
  expect(recorded.text).not.toContain(secret);
});

test("a hook of redaction sees messages and properties of lines", async () => {
  await using host = new TestHost();
  const { recorded, log: make } = setUp(host, {
    events: {
      redactHook: (_: string, value: unknown) =>
        typeof value === "string" ? value.replaceAll("swordfish", "[hidden]") : value,
    },
  });
  make().info({ note: "it is swordfish" }, "say swordfish");
  expect(recorded.of("log")).toMatchObject([
    { message: "say [hidden]", properties: { note: "it is [hidden]" } },
  ]);
  expect(recorded.text).not.toContain("swordfish");
});

test("what is large, deep, or no JSON within is bounded and hidden as all properties", async () => {
  await using host = new TestHost();
  const { mv, recorded } = setUp(host);
  const stream = destination({ mv });
  const secret = "swordfish";
  const deep = JSON.stringify(
    Array.from({ length: 20 }).reduce((within) => ({ within }), { password: secret }),
  );
  const many = JSON.stringify(
    Object.fromEntries(Array.from({ length: 300 }, (_, i) => [`k${i}`, i])),
  );
  for (const given of [
    ...[deep, many, `[${"1,".repeat(300)}1]`, `{"password":{"a":"${secret}"}}`],
    ...[`{"a":1,"token":["${secret}"],"b":{}}`, `{"token":"${secret}"`, `[{"cookie":"${secret}"}`],
  ]) {
    stream.write(`{"level":30,"given":${given},"msg":"bounded"}\n`);
  }
  const logs = recorded.of("log");
  expect(logs.map(({ message }) => message)).toEqual([
    ...["bounded", "bounded", "bounded", "bounded", "bounded"],
    ...["a line that is no JSON", "a line that is no JSON"],
  ]);
  expect(logs.map(({ truncated }) => truncated)).toEqual([
    ...[true, true, true, false, false, false, false],
  ]);
  expect(logs[4]!.properties).toEqual({ given: { a: 1, token: "[redacted]", b: {} } });
  expect(recorded.text).not.toContain(secret);
});

test("any line of JSON is read as JSON.parse reads it", () => {
  const text = fc.string({ unit: "grapheme", maxLength: 30 }).map((each) => each.toWellFormed());
  const value = fc.jsonValue({ maxDepth: 5, stringUnit: "grapheme", depthSize: "small" });
  const key = text.map((each) => `k${each}_`);
  const reader = new LineReader({ messageKey: "msg", leftOut: new Set(["level"]) });
  fc.assert(
    fc.property(
      fc.dictionary(key, value, { maxKeys: 5 }),
      text,
      fc.boolean(),
      (given, msg, isLast) => {
        const ring = new TestRing();
        const line = `${JSON.stringify(
          isLast ? { level: 30, ...given, msg } : { level: 30, msg, ...given },
        )}\n`;
        const expected = JSON.parse(line);
        ring.encoder.reset();
        if (reader.split(line)) {
          reader.writeMessage(ring.encoder);
          if (!reader.properties(ring.encoder, ring.interner)) fallback();
        } else fallback();
        ring.writer.log(3, 0, 0, 0, ring.encoder, 1);
        const [event] = readAll(ring.reader());
        if (event?.kind !== "log") throw new Error(`read ${JSON.stringify(event)}`);
        const { level: _, msg: message, ...properties } = expected;
        expect([event.message, event.properties]).toEqual([message, properties]);
        function fallback() {
          const found = reader.parsed(line)!;
          ring.encoder.reset().text(found.message).properties(found.properties);
        }
      },
    ),
  );
});

test("a service that is compiled records by pino", async () => {
  await using host = new TestHost();
  const folder = host.folder;
  writeFileSync(
    join(folder, "service.ts"),
    `import pino from ${JSON.stringify(join(ROOT, "node_modules/pino"))};
     import { microview } from ${JSON.stringify(join(ROOT, "src/pino/index.ts"))};
     const log = microview(pino, { app: "shop", service: "auth" })();
     log.child({ a: 1 }).info("from a compiled program");
     log.error(new Error("and an error"));`,
  );
  const program = join(folder, "service");
  const build = Bun.spawn(
    [process.execPath, "build", "service.ts", "--compile", "--minify", "--outfile", program],
    { cwd: folder, stdout: "ignore", stderr: "inherit" },
  );
  expect(await build.exited).toBe(0);
  rmSync(join(folder, "service.ts"));
  const service = host.own(
    Bun.spawn([program], {
      env: surroundings({ MICROVIEW_POOL_DIR: host.poolDir, MICROVIEW_SOCKET: host.socketPath }),
      stdin: "ignore",
      stdout: "inherit",
      stderr: "inherit",
    }),
  );
  expect(await service.exited).toBe(0);
  expect(new Recorded(host).of("log")).toMatchObject([
    { level: "info", message: "from a compiled program", properties: { a: 1 } },
    { level: "error", message: "and an error", properties: { err: { type: "Error" } } },
  ]);
});

test("secrets in lists and addresses are hidden as in properties that were no line", async () => {
  await using host = new TestHost();
  const { recorded, log: make } = setUp(host);
  const SECRET = "correct-horse-battery";
  const log = make();
  log.info({ url: `http://ada:${SECRET}@x/`, path: `/cb?token=${SECRET}` }, "addresses");
  log.info({ rawHeaders: ["Host", "x", "Cookie", SECRET], pair: ["password", SECRET] }, "lists");
  expect(recorded.of("log").map(({ properties }) => properties)).toEqual([
    { url: "http://[redacted]@x/", path: "/cb?token=[redacted]" },
    { rawHeaders: ["Host", "x", "Cookie", "[redacted]"], pair: ["password", "[redacted]"] },
  ]);
});
