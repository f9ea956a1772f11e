// What a request asks for, as far as that can be parsed: Host and target come from the caller and may be any bytes.

import { CallError } from "./errors.ts";

/** Answered to everybody. */
export const LIVENESS_PATH = "/healthz";

/** Stands for the host of a request that names none, as HTTP/1.0 allows and health checks do. */
const NO_HOST = "http://localhost";

/**
 * The request with a URL that can be parsed. Bun gives the target alone if there is no valid Host.
 * @throws CallError 400 for a Host or a target that is not valid
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

/** Elysia looks for the path behind this many characters. */
const HOST_END = 11;

function isLongEnough(url: string): boolean {
  return url.indexOf("/", "https://".length) >= HOST_END;
}

/** The same with a longer name in its place. */
function renamed(request: Request): Request {
  const { pathname, search } = new URL(request.url);
  return new Request(NO_HOST + pathname + search, request);
}

/** The path of a request, of whatever kind it is. */
export function pathOf({ url }: Request): string {
  return URL.parse(url, NO_HOST)?.pathname ?? "";
}
