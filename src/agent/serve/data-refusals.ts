// Why a connection to the data port was refused, in the words that REST has for it. The agent notes both alike.

import { STATUS } from "../../layout/index.ts";

const CODES: Readonly<Record<number, string>> = {
  [STATUS.denied]: "denied",
  [STATUS.expired]: "expired-token",
  [STATUS.unscoped]: "needs-read-scope",
  [STATUS.busy]: "too-many-connections",
  [STATUS.tooManyWrong]: "too-many-wrong-tokens",
};

/** @param status by STATUS, or OpenSSL's word for what a certificate is */
export function codeOfRefusal(status: number | string): string {
  return typeof status === "string" ? `tls ${status}` : (CODES[status] ?? String(status));
}

/** Whether the caller has sent a token that is wrong. */
export function hasGuessed(status: number | string): boolean {
  return status === STATUS.denied || status === STATUS.expired;
}
