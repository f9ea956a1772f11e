// Which paths there are, and which methods each has: a request with another method is answered 405, with those that there
// are.

import { CallError } from "./errors.ts";
import { pathOf } from "./request-target.ts";

/** A path is there, and not for this method. */
class MethodError extends CallError {
  override readonly name = "MethodError";
  override readonly headers: Readonly<Record<string, string>>;

  constructor(allowed: readonly string[]) {
    const list = allowed.join(", ");
    super(
      "no-such-method",
      "the path is there, and does not take this method",
      `it takes ${list}`,
      405,
    );
    this.headers = { allow: list };
  }
}

interface Route {
  method: string;
  path: string;
}

/** The methods of paths, by pattern, where `:name` stands for one segment. */
export class KnownPaths {
  readonly #patterns = new Map<string, { fits: RegExp; methods: Set<string> }>();

  /** @param hint where to look for what there is */
  constructor(
    routes: Iterable<Route>,
    readonly hint: string,
  ) {
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

  has(request: Request): boolean {
    return this.#methodsOf(pathOf(request)).includes(request.method);
  }

  /** What a request is told that leads nowhere. */
  refusalOf(request: Request): CallError {
    const methods = this.#methodsOf(pathOf(request));
    if (methods.length > 0) return new MethodError(methods);
    return new CallError("no-such-route", "there is no such route", this.hint, 404);
  }

  /** In the order of their names; none for a path that is not there. */
  #methodsOf(path: string): string[] {
    const found = new Set<string>();
    for (const { fits, methods } of this.#patterns.values()) {
      if (fits.test(path)) for (const method of methods) found.add(method);
    }
    return [...found].sort();
  }
}
