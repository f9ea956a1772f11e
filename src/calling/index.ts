// What all who call other programs share: where a call goes, its words, when it is tried again, and what is made of an
// answer that anybody may have given. Services load it too, so it is small and imports nothing.

export { DEFAULT_PORT, formatEndpoint } from "./endpoint.ts";
export { type Fields, fieldsOf, isCount } from "./fields.ts";
export { parseFlatJson } from "./flat-json.ts";
export { foreignWords } from "./foreign-words.ts";
export { type Health, healthOf } from "./health.ts";
export { jittered } from "./jitter.ts";
export { requestLine } from "./request-line.ts";
export {
  PATH_MTUS_BYTES,
  type PathMtuBytes,
  RDMA_SESSION_PATH,
  SCOPES,
  type Scope,
  WRITER_SECRET_HEADER,
} from "./terms.ts";
