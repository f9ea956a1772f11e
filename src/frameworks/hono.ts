// `new Hono().use(microview({ app, service }))`: counts what a Hono server answers.
//
// Hono is not imported: a middleware is a function of a context, of which this needs little.

import { Exchange, type ServerOptions, serverMeters, UNMATCHED } from "./server.ts";
import { isStreamed } from "./streams.ts";

export type { ServerOptions } from "./server.ts";
export { spanOf } from "./spans.ts";

/** What is needed of Hono's RouterRoute. */
interface Route {
  path: string;
  method: string;
  // biome-ignore lint/suspicious/noExplicitAny: Hono's own type of it depends on the app
  handler: any;
}

type Make = (...values: never[]) => Response;

/** What is needed of Hono's Context. */
interface HonoContext {
  req: { raw: Request; routeIndex: number; matchedRoutes: Route[] };
  res: Response | undefined;
  /** What a handler has thrown. */
  error: Error | undefined;
  // biome-ignore lint/suspicious/noExplicitAny: Hono's own types of these depend on the app
  text: any;
  // biome-ignore lint/suspicious/noExplicitAny: as above
  json: any;
}

/** Where Hono keeps a handler that it has put an error handler around. */
const COMPOSED = "__COMPOSED_HANDLER";

/**
 * A middleware that counts requests, errors and those in flight, and measures latency, by route and method. Use it
 * first: what the middlewares before it answer is not counted.
 */
export function microview(
  options: ServerOptions,
): (context: HonoContext, next: () => Promise<void>) => Promise<void> {
  const meters = serverMeters(options);
  return async function measure(context, next) {
    const { req } = context;
    const routes = req.matchedRoutes;
    const own = req.routeIndex;
    const expected = answering(routes, 0);
    const guess = meters.of(expected?.path ?? UNMATCHED, req.raw.method);
    const exchange = new Exchange(meters, req.raw, guess, true);
    const made = watchMaking(context);
    try {
      // A handler's error is an answer by then.
      await exchange.within(next);
    } catch (error) {
      exchange.threw(error);
      throw error;
    }
    exchange.caught(context.error);
    // Whoever was expected may have left it to the next.
    const actual = answering(routes, req.routeIndex);
    if (actual !== expected && actual !== undefined) exchange.matched(actual.path);
    const response = context.res;
    const mounted = mountedAt(routes, own, req.routeIndex, actual, response?.status);
    if (mounted !== undefined) exchange.matched(mounted);
    if (response === undefined) {
      exchange.drop();
      return;
    }
    exchange.whole = made.last !== undefined && isOf(made.last, response);
    if (exchange.upgraded(response)) {
      exchange.drop();
      return;
    }
    const answer = exchange.answered(response);
    if (answer === response) return;
    // Hono would copy the old one's headers onto the new one, which has them.
    context.res = undefined;
    context.res = answer;
  };
}

/**
 * The route that answers: the first that is no middleware. Hono tells them apart by nothing but what `use` gives them,
 * the method ALL, and how many parameters they take (`inspectRoutes` of hono/dev).
 */
function answering(routes: readonly Route[], from: number): Route | undefined {
  for (let i = from; i < routes.length; i++) {
    const route = routes[i]!;
    if (route.method !== "ALL") return route;
    const handler = route.handler[COMPOSED] ?? route.handler;
    if (handler.length < 2) return route;
  }
  return undefined;
}

/**
 * The path of what has answered in a route's place: an app that is mounted, files that are served. Hono has them as
 * middlewares, so one is known by having called nobody after it. Where no route follows, nothing was found may be the
 * answer too, which its status shows. One for all paths says no more than "(unmatched)" does.
 * @param last the index of who was called last
 * @param actual the route that would have answered
 */
function mountedAt(
  routes: readonly Route[],
  own: number,
  last: number,
  actual: Route | undefined,
  status: number | undefined,
): string | undefined {
  const answered = routes[last];
  if (last <= own || answered === undefined || answered === actual) return undefined;
  if (isForAll(answered) || (actual !== undefined && !isForAll(actual))) return undefined;
  return actual === undefined && status === 404 ? undefined : answered.path;
}

function isForAll({ path }: Route): boolean {
  return path === "*" || path === "/*";
}

/** Whether a response is the one that was made, or has its body, as when a header is added afterwards. */
function isOf(made: Response, response: Response): boolean {
  return made === response || (isStreamed(response) && made.body === response.body);
}

/** Knows the last response that was made of text or JSON: its body is no stream, and need not be looked at. */
function watchMaking(context: HonoContext): { last: Response | undefined } {
  const made: { last: Response | undefined } = { last: undefined };
  const json: Make = context.json;
  const text: Make = context.text;
  context.json = (...values: never[]) => {
    made.last = json(...values);
    return made.last;
  };
  context.text = (...values: never[]) => {
    made.last = text(...values);
    return made.last;
  };
  return made;
}
