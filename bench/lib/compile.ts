// Compiles a C peer on the spot and loads it into this process.

import { dlopen, type FFIFunction, type Library } from "bun:ffi";
import { join } from "node:path";
import type { Scratch } from "./scratch.ts";

/**
 * @param source C; gcc -O2, as a service would be built
 * @throws Error when there is no compiler, or it refuses
 */
export async function compileC<const Symbols extends Record<string, FFIFunction>>(
  scratch: Scratch,
  source: string,
  symbols: Symbols,
): Promise<Library<Symbols>["symbols"]> {
  const folder = scratch.folder("disk");
  const file = join(folder, "peer.c");
  const library = join(folder, "peer.so");
  await Bun.write(file, source);
  const gcc = Bun.spawn(
    ["gcc", "-O2", "-Wall", "-Wextra", "-fPIC", "-shared", "-o", library, file, "-lpthread"],
    {
      stdin: "ignore",
      stdout: "ignore",
      stderr: "pipe",
    },
  );
  const errors = await new Response(gcc.stderr).text();
  if ((await gcc.exited) !== 0) throw new Error(`the C peer does not compile:\n${errors}`);
  return dlopen(library, symbols).symbols;
}
