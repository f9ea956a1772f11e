// The routes of a server: paths, their methods, and the scope that each needs. Every server of ours has one of these. It
// is checked by `serve`, or by the hooks of a framework that does its own routing.

import { checkScope } from "./check-scope.ts";
import { CallError } from "./errors.ts";
import { grantOf } from "./grants.ts";
import { LIVENESS_PATH, pathOf } from "./request-target.ts";
import { type Declared, type Need, needOf } from "./scopes.ts";

/** The path exists, but not for this method. */
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

/** A route as Elysia lists it, or written by hand. `:name` in a path stands for one segment. */
export interface Route extends Declared {
  method: string;
  path: string;
}

interface RoutesOptions {
  /** Where a caller finds the routes that exist. */
  hint: string;
  /** The needs of routes that a plugin defines. */
  others?: Readonly<Record<string, Need>>;
}

interface Pattern {
  path: string;
  fits: RegExp;
  methods: Set<string>;
}

export class Routes {
  readonly #declared: () => Iterable<Route>;
  readonly #options: RoutesOptions;
  #needs: ReadonlyMap<string, Need | undefined> | undefined;
  #patterns: readonly Pattern[] | undefined;

  /** @param declared called at the first request, so hooks can refer to this before the routes are defined */
  constructor(declared: () => Iterable<Route>, options: RoutesOptions) {
    this.#declared = declared;
    this.#options = options;
  }

  /** The need of each route, by method and path; undefined for a route that declares none. */
  get needs(): ReadonlyMap<string, Need | undefined> {
    this.#needs ??= new Map(
      Array.from(this.#declared(), (route) => {
        const key = `${route.method} ${route.path}`;
        return [key, needOf(route) ?? this.#options.others?.[key]];
      }),
    );
    return this.#needs;
  }

  /**
   * Checks the caller after a framework has found the route of a request. A property, so it can be passed as a hook.
   * @param route the path as it was declared
   * @throws CallError 403 if the caller lacks the scope, or if the route declares none
   */
  readonly authorize = ({ request, route }: { request: Request; route: string }): void => {
    const method = request.method === "HEAD" ? "GET" : request.method;
    checkScope(grantOf(request), this.needs.get(`${method} ${route}`));
  };

  /** Checks the caller by the path of the request: it needs the scopes of all routes that match. @throws CallError 403 */
  authorizeByPath(request: Request): void {
    for (const { path, methods } of this.#fitting(request)) {
      if (methods.has(request.method)) this.authorize({ request, route: path });
    }
  }

  has(request: Request): boolean {
    return this.#methodsOf(request).includes(request.method);
  }

  /** The error for a request that matches no route. */
  refusalOf(request: Request): CallError {
    const methods = this.#methodsOf(request);
    if (methods.length > 0) return new MethodError(methods);
    return new CallError("no-such-route", "there is no such route", this.#options.hint, 404);
  }

  /** Sorted by name; empty for a path that does not exist. */
  #methodsOf(request: Request): string[] {
    const found = new Set(this.#fitting(request).flatMap(({ methods }) => [...methods]));
    return [...found].sort();
  }

  #fitting(request: Request): Pattern[] {
    this.#patterns ??= patternsOf([
      ...this.#declared(),
      // Every server answers it.
      { method: "GET", path: LIVENESS_PATH },
    ]);
    const path = pathOf(request);
    return this.#patterns.filter(({ fits }) => fits.test(path));
  }
}

function patternsOf(routes: readonly Route[]): Pattern[] {
  const patterns = new Map<string, Pattern>();
  for (const { method, path } of routes) {
    let known = patterns.get(path);
    if (known === undefined) {
      const parts = path
        .split("/")
        .map((part) => (part.startsWith(":") ? "[^/]+" : RegExp.escape(part)));
      known = { path, fits: new RegExp(`^${parts.join("/")}$`), methods: new Set() };
      patterns.set(path, known);
    }
    known.methods.add(method);
    if (method === "GET") known.methods.add("HEAD");
  }
  return [...patterns.values()];
}
