// The routes of a server: which paths there are, which methods each has, and which scope each asks of its caller. Every
// server of ours makes one of what it serves. `serve` asks it, or the hooks of a framework that finds routes itself.

import { checkScope } from "./check-scope.ts";
import { CallError } from "./errors.ts";
import { grantOf } from "./grants.ts";
import { LIVENESS_PATH, pathOf } from "./request-target.ts";
import { type Declared, type Need, needOf } from "./scopes.ts";

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

/** A route, as Elysia lists its own, or as one is written down: `:name` in a path stands for one segment. */
export interface Route extends Declared {
  method: string;
  path: string;
}

interface RoutesOptions {
  /** Where to look for what there is. */
  hint: string;
  /** What routes ask for that somebody else has defined, such as a plugin. */
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

  /** @param declared called with the first request, so that hooks can be set before the routes that follow them */
  constructor(declared: () => Iterable<Route>, options: RoutesOptions) {
    this.#declared = declared;
    this.#options = options;
  }

  /** What each route asks for, by method and path; undefined for one that does not say. */
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
   * Checks the caller of a request that a framework has found the route of. A hook, so that it can be given as it is.
   * @param route the path as it was declared
   * @throws CallError 403 for a caller that lacks the scope, and for everybody where the route declares none
   */
  readonly authorize = ({ request, route }: { request: Request; route: string }): void => {
    const method = request.method === "HEAD" ? "GET" : request.method;
    checkScope(grantOf(request), this.needs.get(`${method} ${route}`));
  };

  /** Checks the caller of a request by its path. Where several routes fit it needs the scopes of all. @throws likewise */
  authorizeByPath(request: Request): void {
    for (const { path, methods } of this.#fitting(request)) {
      if (methods.has(request.method)) this.authorize({ request, route: path });
    }
  }

  has(request: Request): boolean {
    return this.#methodsOf(request).includes(request.method);
  }

  /** What a request is told that leads nowhere. */
  refusalOf(request: Request): CallError {
    const methods = this.#methodsOf(request);
    if (methods.length > 0) return new MethodError(methods);
    return new CallError("no-such-route", "there is no such route", this.#options.hint, 404);
  }

  /** In the order of their names; none for a path that is not there. */
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
