// How long the body of a request may be, for servers whose answers read bodies as they come.

import { CallError } from "./errors.ts";

/**
 * The request with a body that ends with an error where it becomes too long.
 * @throws CallError 413 for a body that says that it is too long; reading one that does not say rejects with it
 */
export function limited(request: Request, maxBytes: number): Request {
  const { headers, body } = request;
  const declared = headers.get("content-length");
  if (Number(declared) > maxBytes) throw tooLong(maxBytes);
  // A body of declared length does not come any longer.
  if (declared !== null || body === null) return request;
  return new Request(request, { body: body.pipeThrough(counting(maxBytes)), duplex: "half" });
}

function counting(maxBytes: number): TransformStream<Uint8Array, Uint8Array> {
  let bytes = 0;
  return new TransformStream({
    transform(chunk, controller) {
      bytes += chunk.length;
      if (bytes > maxBytes) throw tooLong(maxBytes);
      controller.enqueue(chunk);
    },
  });
}

function tooLong(maxBytes: number): CallError {
  return new CallError(
    "body-full",
    `the body is longer than ${maxBytes} bytes`,
    "send it in parts",
    413,
  );
}
