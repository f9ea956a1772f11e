// `new Elysia().use(microview({ app, service }))`: counts what an Elysia server answers.
//
// A function around each handler sees requests come and answers go; hooks tell it the route, whose pattern only the
// context knows. Hooks take no more than they name from the context, and are plain functions that give nothing back:
// Elysia reads their text, and would otherwise make handlers asynchronous, or read headers and bodies for them.

import type { Meter, Meters } from "./meters.ts";
import { Exchange, type ServerOptions, serverMeters } from "./server.ts";

export type { ServerOptions } from "./server.ts";
export { spanOf } from "./spans.ts";

type Answer = Response | undefined;
type Handler = (request: Request, server?: unknown) => Answer | Promise<Answer>;

const EXCHANGE = Symbol("microview.exchange");

/** A request that is being measured. */
interface Measured extends Request {
  [EXCHANGE]?: Exchange;
}

interface Context {
  request: Measured;
  route?: string;
  error?: unknown;
  responseValue?: unknown;
}

/** What is needed of an Elysia app, of whatever copy of the package: nothing of it is loaded here. */
interface ElysiaApp {
  // biome-ignore lint/suspicious/noExplicitAny: Elysia's own types of these depend on the app
  wrap(fn: any): any;
  // biome-ignore lint/suspicious/noExplicitAny: as above
  onTransform(options: { as: "global" }, hook: any): any;
  // biome-ignore lint/suspicious/noExplicitAny: as above
  onError(options: { as: "global" }, hook: any): any;
  // biome-ignore lint/suspicious/noExplicitAny: as above
  mapResponse(options: { as: "global" }, hook: any): any;
  // biome-ignore lint/suspicious/noExplicitAny: as above
  onStop(hook: any): any;
}

/**
 * A plugin that counts requests, errors and those in flight, and measures latency, by route and method. Use it before
 * the routes: those that were declared earlier are counted as "(unmatched)".
 */
export function microview(options: ServerOptions): <App extends ElysiaApp>(app: App) => App {
  return (app) => {
    const meters = serverMeters(options);
    const known = new WeakMap<Handler, Handler>();
    app.wrap((handler: Handler) => {
      let around = known.get(handler);
      if (around === undefined) {
        around = measured(handler, meters);
        known.set(handler, around);
      }
      return around;
    });
    app.onTransform({ as: "global" }, learnRoute);
    app.onError({ as: "global" }, learnError);
    app.mapResponse({ as: "global" }, learnBody);
    app.onStop(() => meters.close());
    return app;
  };
}

function measured(handler: Handler, meters: Meters): Handler {
  // Where Bun finds the route, a handler has one: it is known before the context is.
  let last: Meter | undefined;
  let hasOne = true;
  const learn = ({ meter }: Exchange) => {
    hasOne &&= last === undefined || last === meter;
    last = meter;
  };
  return (request: Measured, server) => {
    // An app within an app that is measured too.
    if (request[EXCHANGE] !== undefined) return handler(request, server);
    const exchange = new Exchange(meters, request, last, hasOne);
    request[EXCHANGE] = exchange;
    let answer: Answer | Promise<Answer>;
    try {
      answer = exchange.hasSpan
        ? exchange.within(() => handler(request, server))
        : handler(request, server);
    } catch (error) {
      exchange.threw(error);
      throw error;
    }
    if (answer instanceof Promise) {
      return answer.then(
        (response) => {
          learn(exchange);
          return finish(exchange, response);
        },
        (error) => {
          exchange.threw(error);
          throw error;
        },
      );
    }
    learn(exchange);
    return finish(exchange, answer);
  };
}

function finish(exchange: Exchange, response: Answer): Answer {
  if (response instanceof Response && !exchange.upgraded(response)) {
    return exchange.answered(response);
  }
  exchange.drop();
  return response;
}

function learnRoute({ request, route }: Context): void {
  const exchange = request[EXCHANGE];
  if (exchange !== undefined) {
    if (route === undefined) exchange.unmatched();
    else exchange.matched(route);
  }
}

function learnError({ request, route, error }: Context): void {
  const exchange = request[EXCHANGE];
  if (exchange !== undefined) {
    exchange.caught(error);
    if (route === undefined) exchange.unmatched();
    else exchange.matched(route);
  }
}

/** Of a value that is not a stream Elysia makes a whole body. What it was given as a Response has to be looked at. */
function learnBody({ request, responseValue }: Context): void {
  const exchange = request[EXCHANGE];
  if (exchange !== undefined) exchange.whole = isWhole(responseValue);
}

function isWhole(value: unknown): boolean {
  // A hook is asked before another makes an answer of an error: nothing is no answer yet.
  if (value === undefined) return false;
  if (typeof value !== "object" || value === null) return true;
  const kind = value.constructor;
  return kind === Object || kind === Array;
}
