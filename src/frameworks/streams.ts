// Answers whose body comes over time: they end when it does, breaks, or when nobody wants it any more.

import type { Failure } from "./meters.ts";

/**
 * Whether a response's body is a stream, and not text or bytes that are there in full.
 *
 * `response.body` would answer it too, and would turn a body that is whole into a stream: its content type is lost by
 * that (Bun 1.4.5). To look at it from outside changes nothing; it takes a microsecond, so ask only who does not know.
 */
export function isStreamed(response: Response): boolean {
  return /^ {2}ReadableStream \{/m.test(Bun.inspect(response, { depth: 0 }));
}

/**
 * The same response, whose body tells how it ended.
 * @param request whose client may go away, before the body is read as well
 * @param onEnd called once
 */
export function watched(
  response: Response,
  request: Request,
  onEnd: (failure?: Failure) => void,
): Response {
  const reader = response.body!.getReader();
  const { signal } = request;
  let ended = false;
  const end = (failure?: Failure) => {
    if (ended) return;
    ended = true;
    signal.removeEventListener("abort", leave);
    onEnd(failure);
  };
  const leave = () => {
    end("aborted");
    reader.cancel(signal.reason).catch(() => {});
  };
  const body = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          const { done, value } = await reader.read();
          if (!done) {
            controller.enqueue(value);
            return;
          }
          controller.close();
          end();
        } catch (error) {
          end("stream");
          controller.error(error);
        }
      },
      cancel(reason) {
        end("aborted");
        return reader.cancel(reason);
      },
    },
    // Reads no further than it is read.
    { highWaterMark: 0 },
  );
  if (signal.aborted) leave();
  else signal.addEventListener("abort", leave, { once: true });
  return new Response(body, response);
}
