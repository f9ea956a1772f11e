// What a receiver says to a request of OTLP's that it took: whether to all of it.

/** What a receiver did not take of a request that it took. */
interface PartialSuccess {
  rejected: number;
  message: string;
}

/** Reads ExportMetricsServiceResponse.partial_success. Undefined for an answer that has none, or is none. */
export function decodePartialSuccess(bytes: Uint8Array): PartialSuccess | undefined {
  const inner = fields(bytes).get(1);
  if (!(inner instanceof Uint8Array)) return undefined;
  const partial = fields(inner);
  const rejected = partial.get(1);
  const message = partial.get(2);
  return {
    rejected: typeof rejected === "number" ? rejected : 0,
    message: message instanceof Uint8Array ? new TextDecoder().decode(message) : "",
  };
}

/** The last varint or bytes of each field; nothing of what comes after something that is not understood. */
function fields(bytes: Uint8Array): Map<number, number | Uint8Array> {
  const found = new Map<number, number | Uint8Array>();
  let at = 0;
  const varint = (): number => {
    let value = 0;
    for (let scale = 1; at < bytes.length && scale < 2 ** 63; scale *= 128) {
      const byte = bytes[at++]!;
      value += (byte & 127) * scale;
      if (byte < 128) return value;
    }
    return Number.NaN;
  };
  while (at < bytes.length) {
    const tag = varint();
    const value = varint();
    const wire = tag & 7;
    if (Number.isNaN(value) || (wire !== 0 && wire !== 2)) break;
    if (wire === 0) {
      found.set(tag >>> 3, value);
      continue;
    }
    if (at + value > bytes.length) break;
    found.set(tag >>> 3, bytes.subarray(at, at + value));
    at += value;
  }
  return found;
}

/** As decodePartialSuccess, of an answer in JSON. */
export function parsePartialSuccess(text: string): PartialSuccess | undefined {
  try {
    const { partialSuccess } = JSON.parse(text) as {
      partialSuccess?: { rejectedDataPoints?: string | number; errorMessage?: string };
    };
    if (typeof partialSuccess !== "object" || partialSuccess === null) return undefined;
    const rejected = Number(partialSuccess.rejectedDataPoints ?? 0);
    const message = String(partialSuccess.errorMessage ?? "");
    return { rejected: Number.isFinite(rejected) ? rejected : 0, message };
  } catch {
    return undefined;
  }
}
