// What is never recorded: properties by their names, at any depth, and what a service's own hook hides. The encoder asks
// before anything is stored.

import { SecretNames } from "../../layout/index.ts";
import type { RedactionHook } from "./options.ts";

export class Redaction extends SecretNames {
  /**
   * @param more names, and ends of names, that are secrets too
   * @param hook sees each property that is recorded, and gives what is recorded in its place
   */
  constructor(
    more: readonly string[] = [],
    readonly hook?: RedactionHook,
  ) {
    super(more);
  }
}
