// Values of flags: durations, sizes, addresses, numbers, lists.

import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { formatEndpoint } from "../../src/calling/index.ts";
import { formatDurationMs, parseDurationMs } from "../../src/command-line/duration.ts";
import { parseAgent, parseEndpoint } from "../../src/command-line/endpoint.ts";
import { UsageError } from "../../src/command-line/errors.ts";
import { parseFileMode, parseInteger } from "../../src/command-line/integer.ts";
import { formatSizeBytes, parseSizeBytes } from "../../src/command-line/size.ts";
import { parseRdma, parseRdmaPort } from "../../src/commands/support/rdma.ts";

/** What a parser says about a wrong text: its message and hint in one line. */
function complaint(act: () => unknown): string {
  try {
    act();
  } catch (error) {
    if (error instanceof UsageError) return `${error.message}; ${error.hint ?? ""}`;
    throw error;
  }
  return "no error";
}

describe("a duration", () => {
  test.each([
    ["1ms", 1],
    ["10s", 10_000],
    ["5m", 300_000],
    ["1.5h", 5_400_000],
    ["2d", 172_800_000],
    ["500us", 0.5],
    ["500µs", 0.5],
    [" 3 s ", 3000],
  ])("written %p is %p milliseconds", (text, expectedMs) => {
    expect(parseDurationMs(text, "--interval")).toBe(expectedMs);
  });

  test("without a unit is refused with the ways to write it", () => {
    const said = complaint(() => parseDurationMs("10", "--interval"));
    expect(said).toContain("--interval needs a unit: '10'");
    expect(said).toContain("10ms, 10s or 10m");
  });

  test("of zero is not advised to take a unit alone", () => {
    const said = complaint(() => parseDurationMs("0", "--interval"));
    expect(said).toContain("write a number above zero and a unit");
  });

  test.each(["", "ms", "-1s", "1 fortnight", "1e3s", "0s", "NaNs", "1constructor", "s1"])(
    "written %p is refused",
    (text) => {
      expect(complaint(() => parseDurationMs(text, "--interval"))).not.toBe("no error");
    },
  );

  test("printed and parsed again is the same", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 1e12 }), (durationUs) => {
        const durationMs = durationUs / 1000;
        expect(parseDurationMs(formatDurationMs(durationMs), "x")).toBeCloseTo(durationMs, 6);
      }),
    );
  });
});

describe("a size", () => {
  test.each([
    ["64MiB", 67_108_864],
    ["1kB", 1000],
    ["4096", 4096],
    ["1.5KiB", 1536],
    ["2GiB", 2 ** 31],
  ])("written %p is %p bytes", (text, expectedBytes) => {
    expect(parseSizeBytes(text, "--max-body")).toBe(expectedBytes);
  });

  test.each(["", "MiB", "-1", "12 parsecs", "0.5", "1constructor"])(
    "written %p is refused",
    (text) => {
      expect(complaint(() => parseSizeBytes(text, "--max-body"))).not.toBe("no error");
    },
  );

  test("printed and parsed again is the same", () => {
    fc.assert(
      fc.property(fc.nat(), (sizeBytes) => {
        expect(parseSizeBytes(formatSizeBytes(sizeBytes), "x")).toBe(sizeBytes);
      }),
    );
  });
});

describe("a whole number", () => {
  test("may have its digits grouped", () => {
    expect(parseInteger("100_000", "--max-series")).toBe(100_000);
  });

  test("out of bounds is refused with the bounds", () => {
    const said = complaint(() => parseInteger("70000", "--port", { min: 0, max: 65_535 }));
    expect(said).toBe("--port is out of range: 70000; use a whole number from 0 to 65535");
  });

  test.each(["", "1.5", "abc", "0x10", "1e3", "9007199254740993"])(
    "written %p is refused",
    (text) => {
      expect(complaint(() => parseInteger(text, "--port"))).toContain("not a whole number");
    },
  );
});

test("a file mode is read as octal", () => {
  expect(parseFileMode("0660", "--pool-mode")).toBe(0o660);
  expect(complaint(() => parseFileMode("888", "--pool-mode"))).toContain("octal");
});

describe("an address", () => {
  test.each([
    ["localhost:7070", { host: "localhost", port: 7070 }],
    ["10.0.0.1:80", { host: "10.0.0.1", port: 80 }],
    ["[::1]:7070", { host: "::1", port: 7070 }],
  ])("written %p is understood and written alike", (text, endpoint) => {
    expect(parseEndpoint(text, "HOST:PORT")).toEqual(endpoint);
    expect(formatEndpoint(endpoint)).toBe(text);
  });

  test.each(["localhost", "localhost:", ":7070", "::1:7070", "a:0", "a:65536", "http://a:1"])(
    "written %p is refused",
    (text) => {
      expect(complaint(() => parseEndpoint(text, "HOST:PORT"))).not.toBe("no error");
    },
  );
});

describe("an RDMA port", () => {
  test("is a device, and may name its port and GID", () => {
    expect(parseRdmaPort("auto", "--rdma")).toBe("auto");
    expect(parseRdma("off", "--rdma")).toBe("off");
    expect(parseRdmaPort("mlx5_0", "--rdma")).toEqual({ device: "mlx5_0" });
    expect(parseRdmaPort("rxe0:1", "--rdma")).toEqual({ device: "rxe0", port: 1 });
    const whole = { device: "mlx5_0", port: 2, gidIndex: 3 };
    expect(parseRdmaPort("mlx5_0:2:3", "--rdma")).toEqual(whole);
  });

  test("that is written otherwise is refused with the way to write it", () => {
    for (const text of ["", ":1", "a b", "../x", "a:1:2:3", "a:b", "a:0", "a:1:x", "a:1:99999"]) {
      expect(complaint(() => parseRdmaPort(text, "--rdma"))).not.toBe("no error");
    }
    expect(complaint(() => parseRdmaPort("a/b", "--rdma"))).toContain("DEVICE[:PORT[:GID]]");
  });
});

describe("an agent", () => {
  test.each([
    ["localhost:7070", { host: "localhost", port: 7070 }],
    ["db1", { host: "db1", port: 7070 }],
    ["db1.example.com", { host: "db1.example.com", port: 7070 }],
    ["10.0.0.1", { host: "10.0.0.1", port: 7070 }],
    ["::1", { host: "::1", port: 7070 }],
    ["fe80::1%eth0", { host: "fe80::1%eth0", port: 7070 }],
    ["[::1]", { host: "::1", port: 7070 }],
    ["[::1]:80", { host: "::1", port: 80 }],
    ["http://db1", { host: "db1", port: 7070, tls: false }],
    ["http://db1:80/", { host: "db1", port: 80, tls: false }],
    ["HTTPS://db1:7070", { host: "db1", port: 7070, tls: true }],
    ["https://[::1]", { host: "::1", port: 7070, tls: true }],
  ])("written %p is taken", (text, expected) => {
    expect(parseAgent(text, "HOST:PORT")).toEqual(expected);
  });

  test.each([
    ["7070", "HOST:PORT has no host: '7070'; write localhost:7070"],
    ["http://db1:7070/metrics", "more in its URL than an address"],
    ["http://db1:7070?app=shop", "more in its URL than an address"],
    ["http://db1#x", "more in its URL than an address"],
    ["ftp://db1", "is of ftp"],
    ["http://", "is not an address"],
    ["", "is not an address"],
    ["a b", "is not an address"],
    ["db1:", "the port in 'db1:'"],
    ["db1:70700", "the port in 'db1:70700'"],
    ["[db1]:7070", "is not an address"],
    ["/run/agent.sock", "is not an address"],
  ])("written %p is refused: %s", (text, reason) => {
    expect(complaint(() => parseAgent(text, "HOST:PORT"))).toContain(reason);
  });

  test.each(["http://eva:s3cret@db1", "https://s3cret@db1:7070/x", "ftp://eva:s3cret@db1"])(
    "with a user or password is refused, which is not repeated",
    (text) => {
      const said = complaint(() => parseAgent(text, "HOST:PORT"));
      expect(said).toContain("has a user or password in its URL");
      expect(said).not.toContain("s3cret");
    },
  );
});
