// Bodies of requests, as routes get them: read up to a limit, looked over before anything is made of them, and checked
// against the route's schema. What this costs follows from a body's length, whatever stands in it.

import { getSchemaValidator, type TSchema } from "elysia";
import { AgentError, LimitError } from "../errors.ts";

/** How deep a body may be nested. The deepest that is asked for has six levels. */
const DEPTH_MAX = 16;
/** Values in a body. Each takes tens of bytes of memory, be it one byte long. */
const VALUES_MAX = 1 << 18;
/** Bodies that are being read may take so many times the longest one, all together. */
const AT_ONCE = 4;
/** A body that says that it is no longer is read in one go. */
const SHORT_BYTES = 64 << 10;

const JSON_TYPE = /^application\/(?:[\w.-]+\+)?json\s*(?:;|$)/i;

/** An escape of half a character, which may stand alone. Whole characters are seldom escaped. */
const HALF = /\\u[dD][89a-fA-F]/;

const CODE = {
  quote: 0x22,
  comma: 0x2c,
  bracket: 0x5b,
  backslash: 0x5c,
  closingBracket: 0x5d,
  brace: 0x7b,
  closingBrace: 0x7d,
} as const;

/** What a hook of a route is given. */
interface Context {
  request: Request;
  route: string;
}

export class Bodies {
  #readingBytes = 0;

  /**
   * @param maxBytes of one body
   * @param authorize called before anything of a body is read. @throws AgentError for a caller who may not call the route
   */
  constructor(
    readonly maxBytes: number,
    readonly authorize: (context: Context) => void,
  ) {}

  /** A route's parsers: it takes JSON of this schema. Elysia's own errors would repeat the body. */
  json(schema: TSchema) {
    const validator = getSchemaValidator(schema, {});
    const parse = async (context: Context) => {
      this.authorize(context);
      const value = parsed(await this.#read(context.request));
      if (!validator.Check(value)) throw new SchemaError(validator.Errors(value).First());
      return value;
    };
    // What follows the parser is never come to: it says in the OpenAPI document what is taken.
    return [parse, "json"] as [typeof parse, "json"];
  }

  /** @throws AgentError 413 for a body that says that it is too long */
  checkDeclared({ headers }: Request): void {
    if (Number(headers.get("content-length")) > this.maxBytes) throw tooLong(this.maxBytes);
  }

  async #read(request: Request): Promise<Uint8Array> {
    const { headers, body } = request;
    if (!JSON_TYPE.test(headers.get("content-type") ?? ""))
      throw notJson("its Content-Type says otherwise");
    if ((headers.get("content-encoding") ?? "identity") !== "identity") {
      throw notJson("it is compressed");
    }
    this.checkDeclared(request);
    const declared = headers.get("content-length");
    try {
      if (declared !== null && Number(declared) <= SHORT_BYTES) return await request.bytes();
      return await this.#collect(body ?? new ReadableStream());
    } catch (error) {
      if (error instanceof AgentError) throw error;
      throw new AgentError("invalid-body", "the body ended before it was whole", "send it again");
    }
  }

  async #collect(body: ReadableStream<Uint8Array>): Promise<Uint8Array> {
    const chunks: Uint8Array[] = [];
    let bytes = 0;
    try {
      for await (const chunk of body) {
        bytes += chunk.length;
        this.#readingBytes += chunk.length;
        if (bytes > this.maxBytes) throw tooLong(this.maxBytes);
        if (this.#readingBytes > AT_ONCE * this.maxBytes) {
          throw new LimitError(
            "bodies-full",
            "too many long bodies are being read",
            "send it again later, or in parts",
            503,
          );
        }
        chunks.push(chunk);
      }
    } finally {
      this.#readingBytes -= bytes;
    }
    return Buffer.concat(chunks);
  }
}

/** The body is not what the route takes: the first thing that is wrong, without what was sent. */
class SchemaError extends AgentError {
  constructor(fault: { path: string; message: string } | undefined) {
    const { path = "", message = "is not what is expected" } = fault ?? {};
    super(
      "invalid-request",
      `body${path.replaceAll("/", ".")}: ${message}`,
      "GET /openapi describes every request",
      422,
    );
  }
}

function tooLong(maxBytes: number): AgentError {
  return new AgentError(
    "body-full",
    `the body is longer than ${maxBytes} bytes`,
    "send it in parts, or start the agent with a higher --max-body",
    413,
  );
}

function notJson(reason: string): AgentError {
  return new AgentError(
    "invalid-json",
    `the body is not JSON: ${reason}`,
    "send Content-Type: application/json and a JSON body in UTF-8",
  );
}

/** @throws AgentError for a body that is not JSON, or has too many levels or values */
function parsed(bytes: Uint8Array): unknown {
  checkShape(bytes);
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw notJson("it is not UTF-8");
  }
  try {
    return HALF.test(text) ? JSON.parse(text, wellFormed) : JSON.parse(text);
  } catch {
    throw notJson("it cannot be parsed");
  }
}

/** Halves of characters read back as U+FFFD from the directory: two names that differ in them would be one there. */
function wellFormed(_key: string, value: unknown): unknown {
  return typeof value === "string" ? value.toWellFormed() : value;
}

/** @throws AgentError for more levels or values than a body may have */
function checkShape(bytes: Uint8Array): void {
  let depth = 0;
  let values = 1;
  let isText = false;
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i];
    if (isText) {
      if (byte === CODE.backslash) i++;
      else if (byte === CODE.quote) isText = false;
    } else if (byte === CODE.quote) {
      isText = true;
    } else if (byte === CODE.bracket || byte === CODE.brace) {
      depth++;
      values++;
      if (depth > DEPTH_MAX) {
        throw new AgentError(
          "body-deep",
          `the body is nested more than ${DEPTH_MAX} levels deep`,
          "GET /openapi describes every request",
        );
      }
    } else if (byte === CODE.closingBracket || byte === CODE.closingBrace) {
      depth--;
    } else if (byte === CODE.comma) {
      values++;
    }
    if (values > VALUES_MAX) {
      throw new AgentError(
        "body-full",
        `the body has more than ${VALUES_MAX} values`,
        "send it in parts",
        413,
      );
    }
  }
}
