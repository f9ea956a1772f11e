// Loops for measuring, each compiled from source of its own.
//
// Why not closures: a JIT profiles by function. One loop shared by several classes sees them all and calls through
// tables; closures of one function share its profile. A service's own call site sees one class, and so does each loop
// made here. They are functions, because code at a module's top level runs at half the speed.

import type { Work } from "./measure.ts";

let made = 0;

/**
 * Makes a loop over `subjects`, handles of one class.
 * @param call what is repeated: `subject` is the handle, `value` the next of `values`
 * @param subjects one handle, or several to rotate over
 */
export function loop(call: string, subjects: readonly unknown[], values: Float64Array): Work {
  const rotates = subjects.length > 1;
  // A comment with a number keeps the engine from finding the same text in its code cache.
  const source = `
    // ${++made}
    return function loop${made}(times) {
      ${rotates ? "const count = subjects.length; let turn = 0;" : "const subject = subjects[0];"}
      const mask = values.length - 1;
      for (let i = 0; i < times; i++) {
        ${rotates ? "const subject = subjects[turn]; if (++turn === count) turn = 0;" : ""}
        ${call.includes("value") ? "const value = values[i & mask];" : ""}
        ${call};
      }
    };`;
  return new Function("subjects", "values", source)(subjects, values) as Work;
}
