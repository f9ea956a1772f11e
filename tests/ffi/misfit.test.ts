// A native library for another system is recognised before it is loaded, and the message names both.

import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { misfit, type System } from "../../src/ffi/misfit.ts";
import { ROOT } from "../support/host.ts";

const HERE: System = { platform: process.platform, architecture: process.arch, isMusl: false };

/** The library of this build. */
function library(): Buffer {
  return readFileSync(join(ROOT, "build/shim.so"));
}

/** The same for another processor, by its ELF number. */
function libraryFor(machine: number): Buffer {
  const image = library();
  image.writeUInt16LE(machine, 18);
  return image;
}

describe("a native library", () => {
  test("of this system fits it", () => {
    expect(misfit(library(), HERE)).toBeUndefined();
  });

  test.each([
    [183, "arm64", "x64"],
    [62, "x64", "arm64"],
    [243, "riscv64", "x64"],
    [21, "processor 21", "x64"],
  ])(
    "for processor %p is refused with its name and that of the processor here",
    (machine, made, here) => {
      const error = misfit(libraryFor(machine), { ...HERE, architecture: here })!;
      expect(error.message).toBe(
        `the native part of microview is for ${made}, and this is ${here}`,
      );
      expect(error.hint).toContain("make shim");
    },
  );

  test("for glibc is refused on musl, and one for musl is not", () => {
    const error = misfit(library(), { ...HERE, isMusl: true })!;
    expect(error.message).toContain("needs glibc");
    expect(error.message).toContain("musl");
    expect(error.hint).toContain("oven/bun:debian");
    const image = library();
    const needed = image.indexOf("libc.so.6");
    image.write("libc.musl", needed, "latin1");
    expect(misfit(image, { ...HERE, isMusl: true })).toBeUndefined();
  });

  test("is refused on systems other than Linux", () => {
    expect(misfit(library(), { ...HERE, platform: "darwin" })!.message).toContain("this is darwin");
  });

  test("that is cut short anywhere, or is something else, is damaged", () => {
    const whole = library();
    for (const bytes of [0, 1, 63, 64, 4096, whole.length - 1]) {
      expect(misfit(whole.subarray(0, bytes), HERE)!.message).toContain("damaged");
    }
    expect(misfit(Buffer.alloc(1000, "x"), HERE)!.message).toContain("damaged");
  });
});
