// The binary read protocol that the agent serves beside its REST port: ranges in, bytes out.
//
// hello     client → agent   u32 magic, u32 version, u32 token bytes, token
//           agent → client   u32 status, u32 version
// request   client → agent   u32 op, u32 pool, u32 ranges, u32 tag, then per range u64 offset, u64 bytes
// response  agent → client   u32 status, u32 tag, u64 bytes, u32 pools generation, u32 0, then the bytes
//
// READ answers with the ranges' bytes one after the other. LIST answers with JSON: [{id, app, poolId, fileBytes}].
// Requests may be pipelined; answers come in their order. All numbers are little-endian.
//
// A client of the next version is let in, and asks for no more than the version in the agent's answer has.

export const WIRE_MAGIC = 0x3152564d; // "MVR1"
export const WIRE_VERSION = 1;

/** Whether an agent speaks with clients of a version: hosts are upgraded one after the other. */
export function isReadableWire(version: number): boolean {
  return version > 0 && Math.abs(version - WIRE_VERSION) <= 1;
}

export const OP = { list: 1, read: 2 } as const;

export const STATUS = {
  ok: 0,
  /** The token is missing or wrong. */
  denied: 1,
  /** Not this protocol, or a version or request that the agent does not know. */
  malformed: 2,
  /** The pool is gone: list again. */
  noSuchPool: 3,
  /** A range is outside of the pool. */
  outOfRange: 4,
  /** The agent serves as many connections as it may. */
  busy: 5,
  /** The token was right, and has expired. */
  expired: 6,
  /** The token is right, and is not for reading. */
  unscoped: 7,
  /** The address has sent too many wrong tokens: wait. */
  tooManyWrong: 8,
} as const;

export const STATUS_TEXT: Readonly<Record<number, string>> = {
  [STATUS.denied]: "the token is missing or wrong",
  [STATUS.malformed]: "the agent does not understand the request",
  [STATUS.noSuchPool]: "the pool is gone",
  [STATUS.outOfRange]: "the range is outside of the pool",
  [STATUS.busy]: "the agent serves as many connections as it may",
  [STATUS.expired]: "the token has expired",
  [STATUS.unscoped]: "the token lacks the scope read",
  [STATUS.tooManyWrong]: "too many wrong tokens came from this address",
};

export const HELLO_BYTES = 12;
export const HELLO_REPLY_BYTES = 8;
export const REQUEST_BYTES = 16;
export const RANGE_BYTES = 16;
export const RESPONSE_BYTES = 24;

export const WIRE_LIMITS = {
  tokenBytes: 4096,
  rangesPerRequest: 4096,
  /** Bytes that one request may ask for. */
  bytesPerRequest: 1 << 30,
} as const;

/** A pool as LIST names it. */
export interface WirePool {
  id: number;
  app: string;
  poolId: number;
  fileBytes: number;
}

export function encodeHello(token: string): Uint8Array {
  const bytes = new TextEncoder().encode(token);
  const hello = new Uint8Array(HELLO_BYTES + bytes.length);
  const view = new DataView(hello.buffer);
  view.setUint32(0, WIRE_MAGIC, true);
  view.setUint32(4, WIRE_VERSION, true);
  view.setUint32(8, bytes.length, true);
  hello.set(bytes, HELLO_BYTES);
  return hello;
}

/** Writes a request's fixed part; ranges follow by {@link encodeRange}. */
export function encodeRequest(
  view: DataView,
  at: number,
  op: number,
  pool: number,
  ranges: number,
  tag: number,
): number {
  view.setUint32(at, op, true);
  view.setUint32(at + 4, pool, true);
  view.setUint32(at + 8, ranges, true);
  view.setUint32(at + 12, tag, true);
  return at + REQUEST_BYTES;
}

export function encodeRange(view: DataView, at: number, offset: number, bytes: number): number {
  setU64(view, at, offset);
  setU64(view, at + 8, bytes);
  return at + RANGE_BYTES;
}

export function setU64(view: DataView, at: number, value: number): void {
  view.setUint32(at, value % 0x1_0000_0000, true);
  view.setUint32(at + 4, Math.floor(value / 0x1_0000_0000), true);
}

export function getU64(view: DataView, at: number): number {
  return view.getUint32(at + 4, true) * 0x1_0000_0000 + view.getUint32(at, true);
}
