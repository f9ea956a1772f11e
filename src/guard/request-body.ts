// Limits the length of request bodies.

import { CallError } from "./errors.ts";

/**
 * The request with a body of limited length. Reading a longer one rejects with a CallError 413.
 * @throws CallError 413 if the request declares a body that is too long
 */
export function limited(request: Request, maxBytes: number): Request {
  const { headers, body } = request;
  const declared = headers.get("content-length");
  if (Number(declared) > maxBytes) throw tooLong(maxBytes);
  // No more than the declared length arrives.
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
