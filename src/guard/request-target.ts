// Parses the target of a request. Host and target come from the caller and may be any bytes.

import { CallError } from "./errors.ts";

/** Every caller is answered here. */
export const LIVENESS_PATH = "/healthz";

/** Used if a request has no Host, as HTTP/1.0 allows and some health checks do. */
const NO_HOST = "http://localhost";

/**
 * The request with a URL that can be parsed. Without a valid Host, Bun gives the target alone.
 * @throws CallError 400 for an invalid Host or target
 */
export function addressed(request: Request): Request {
  const { url } = request;
  const isWhole = /^https?:/.test(url) && !url.includes("#");
  if (isWhole && URL.canParse(url)) return isLongEnough(url) ? request : renamed(request);
  const isBare = url.startsWith("/") && (request.headers.get("host") ?? "") === "";
  if (isBare && URL.canParse(NO_HOST + url)) return new Request(NO_HOST + url, request);
  throw new CallError(
    "invalid-target",
    "the request's Host header or target is not valid",
    "send Host: NAME:PORT and a path",
  );
}

/** Elysia looks for the path after this many characters. */
const HOST_END = 11;

function isLongEnough(url: string): boolean {
  return url.indexOf("/", "https://".length) >= HOST_END;
}

/** The same request with a longer host name. */
function renamed(request: Request): Request {
  const { pathname, search } = new URL(request.url);
  return new Request(NO_HOST + pathname + search, request);
}

/** The path of a request, whether its URL is complete or not. */
export function pathOf({ url }: Request): string {
  return URL.parse(url, NO_HOST)?.pathname ?? "";
}
