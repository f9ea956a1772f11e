// What a writer shows with each call about itself, so that nobody else registers, releases or detaches for it. The
// directory keeps what it hashes to: readers cannot derive the secret from it, and the next agent finds it there.

import { randomBytes, timingSafeEqual } from "node:crypto";
import { WRITER_SECRET_HEADER } from "../../calling/index.ts";
import { WRITER_SECRET_HASH_BYTES, type Writer } from "../../layout/index.ts";
import { AgentError } from "../errors.ts";

/** Too many to be guessed at any rate of requests. */
const SECRET_BYTES = 16;

/** The header that carries it, as requests are asked for it. */
export const SECRET_HEADER = WRITER_SECRET_HEADER.toLowerCase() as Lowercase<
  typeof WRITER_SECRET_HEADER
>;

interface WriterSecret {
  secret: string;
  hash: Uint8Array;
}

export function newSecret(): WriterSecret {
  const secret = randomBytes(SECRET_BYTES).toString("base64url");
  return { secret, hash: hashOf(secret) };
}

/** @throws AgentError 403 unless the secret is the writer's; one that has none is nobody's */
export function checkSecret(writer: Writer, secret: string | null | undefined): void {
  if (hasSecret(writer, secret)) return;
  throw new AgentError(
    "wrong-secret",
    `writer ${writer.id} is somebody else's: the secret is missing or wrong`,
    `send ${WRITER_SECRET_HEADER}: SECRET, of the answer to attaching`,
    403,
  );
}

export function hasSecret({ secretHash }: Writer, secret: string | null | undefined): boolean {
  return secretHash !== undefined && timingSafeEqual(hashOf(secret ?? ""), secretHash);
}

/** Of random bits no more are needed than they have. */
function hashOf(secret: string): Uint8Array {
  const hash = new Bun.CryptoHasher("sha256").update(secret).digest();
  return hash.subarray(0, WRITER_SECRET_HASH_BYTES);
}
