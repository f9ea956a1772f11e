// Which methods a path has: a request with another method is answered 405, with the methods that there are.

import { CallError } from "./errors.ts";

/** A path is there, and not for this method. */
export class MethodError extends CallError {
  override readonly name = "MethodError";

  constructor(readonly allowed: readonly string[]) {
    super(
      "no-such-method",
      "the path is there, and does not take this method",
      `it takes ${allowed.join(", ")}`,
      405,
    );
  }
}

interface Route {
  method: string;
  path: string;
}

/** The methods of paths, by pattern, where `:name` stands for one segment. */
export class KnownPaths {
  readonly #patterns = new Map<string, { fits: RegExp; methods: Set<string> }>();

  constructor(routes: Iterable<Route>) {
    for (const { method, path } of routes) {
      let known = this.#patterns.get(path);
      if (known === undefined) {
        const parts = path
          .split("/")
          .map((part) => (part.startsWith(":") ? "[^/]+" : RegExp.escape(part)));
        known = { fits: new RegExp(`^${parts.join("/")}$`), methods: new Set() };
        this.#patterns.set(path, known);
      }
      known.methods.add(method);
      if (method === "GET") known.methods.add("HEAD");
    }
  }

  /** In the order of their names; none for a path that is not there. */
  methodsOf(path: string): string[] {
    const found = new Set<string>();
    for (const { fits, methods } of this.#patterns.values()) {
      if (fits.test(path)) for (const method of methods) found.add(method);
    }
    return [...found].sort();
  }
}
