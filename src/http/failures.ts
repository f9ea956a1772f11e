// Why a request failed, in words, with what to do: the one place that turns errors of connections and of TLS into text.

import { X509Certificate } from "node:crypto";
import { type Stats, statSync } from "node:fs";
import { isIP } from "node:net";
import { askByTls, askPlainly, type Place, type PlainAnswer, type TlsAnswer } from "./probe.ts";
import { byProxy, proxyFor } from "./proxies.ts";

/** What was tried, and which flags the reader of the message can give. */
export interface Attempt {
  url: string;
  /** It went to this Unix socket, whatever the URL says. */
  socketPath?: string;
  /** The server must not be asked again to find the cause. */
  isQuiet?: boolean;
  /** Given when TLS was spoken. */
  tls?: { ca?: string; cert?: string; key?: string };
  /** Flags that would help, e.g. `--ca`, where there are any. */
  flags?: {
    /** Authorities to trust. */
    ca?: string;
    /** Certificate and key to show. */
    identity?: string;
    /** Whatever makes TLS be spoken. */
    tls?: string;
  };
}

const CONNECTION: Readonly<Record<string, string>> = {
  ECONNREFUSED: "nobody listens there",
  ConnectionRefused: "nobody listens there",
  ENOTFOUND: "the host is unknown",
  EAI_AGAIN: "the host is unknown: no name server answers",
  ENETUNREACH: "there is no route to that network",
  EHOSTUNREACH: "there is no route to that host",
  ETIMEDOUT: "it does not answer in time",
  TimeoutError: "it does not answer in time",
  ECONNRESET: "it has closed the connection",
  ConnectionClosed: "it has closed the connection",
  FailedToOpenSocket: "the connection cannot be made",
  Malformed_HTTP_Response: "it does not answer in HTTP/1.1",
  EPROTO: "the TLS handshake failed",
  // Of a Unix socket.
  ENOENT: "there is no such file",
  EACCES: "this user may not open it",
  ENOTSOCK: "it is no socket",
  ERR_PROXY_TUNNEL: "the proxy does not let through to it",
};

/** Errors that leave open what is wrong. */
const OPEN = new Set([
  ...["ECONNRESET", "ConnectionClosed", "EPROTO", "Malformed_HTTP_Response", "TimeoutError"],
  ...["ETIMEDOUT", "ERR_SSL_WRONG_VERSION_NUMBER"],
]);

const UNTRUSTED = new Set([
  ...["UNABLE_TO_VERIFY_LEAF_SIGNATURE", "UNABLE_TO_GET_ISSUER_CERT", "CERT_UNTRUSTED"],
  ...["UNABLE_TO_GET_ISSUER_CERT_LOCALLY", "SELF_SIGNED_CERT_IN_CHAIN"],
]);

/** What can be said without asking any more, by the error alone. */
export function shortReason(error: unknown): string {
  const code = codeOf(error);
  const { message } = error as Error;
  // Bun adds advice for web pages behind the first sentence.
  return CONNECTION[code] ?? message.split(". ")[0]!;
}

/** A file that is no socket refuses connections as a socket does on which nobody listens. */
function ofSocket(error: unknown, path: string): string {
  let found: Stats | undefined;
  try {
    found = statSync(path);
  } catch {
    // The error says it.
  }
  return found?.isSocket() === false ? CONNECTION["ENOTSOCK"]! : shortReason(error);
}

/** Why a request has failed. Where its error leaves that open, the server is asked what it speaks. */
export async function failureOf(error: unknown, attempt: Attempt): Promise<string> {
  if (attempt.socketPath !== undefined) return ofSocket(error, attempt.socketPath);
  const proxied = byProxy(attempt.url);
  const code = codeOf(error);
  const mayAsk = attempt.isQuiet !== true && proxied === "" && !isUnanswered(attempt);
  const certificate = await ofCertificate(code, attempt, mayAsk);
  if (certificate !== undefined) return certificate + proxied;
  if (!mayAsk || !OPEN.has(code)) {
    return shortReason(error) + proxied;
  }
  const { protocol } = new URL(attempt.url);
  const found = protocol === "https:" ? await ofTls(attempt) : await ofPlain(attempt);
  return found ?? shortReason(error);
}

function codeOf(error: unknown): string {
  const { code, name } = error as NodeJS.ErrnoException;
  return typeof code === "string" ? code : name;
}

/** A proxy that cannot be used was not even asked. */
function isUnanswered({ url }: Attempt): boolean {
  try {
    proxyFor(url);
    return false;
  } catch {
    return true;
  }
}

function placeOf({ url }: Attempt): Place & { name: string } {
  const { protocol, hostname, port } = new URL(url);
  const host = hostname.replace(/^\[|\]$/g, "");
  return {
    host,
    port: port === "" ? (protocol === "https:" ? 443 : 80) : Number(port),
    // A name of TLS is no address: RFC 6066, 3.
    name: isIP(host) === 0 ? host : "",
  };
}

/** What is wrong with the certificate that was shown. */
async function ofCertificate(
  code: string,
  attempt: Attempt,
  mayAsk: boolean,
): Promise<string | undefined> {
  const { ca, tls } = { ca: attempt.flags?.ca, tls: attempt.tls };
  if (UNTRUSTED.has(code)) {
    const trusted = tls?.ca === undefined ? "the system trusts" : `${ca ?? "its file"} names`;
    return `its certificate is signed by none of the authorities that ${trusted}${ca === undefined ? "" : `: name the one that has signed it with ${ca}`}`;
  }
  if (code === "DEPTH_ZERO_SELF_SIGNED_CERT") {
    return `its certificate is self-signed${ca === undefined ? "" : `: if that is meant, name it with ${ca}`}`;
  }
  const isTime = code === "CERT_HAS_EXPIRED" || code === "CERT_NOT_YET_VALID";
  if (!isTime && code !== "ERR_TLS_CERT_ALTNAME_INVALID") return undefined;
  const place = placeOf(attempt);
  const shown = mayAsk ? (await askByTls(place, place.name, {})).certificate : undefined;
  if (code === "CERT_HAS_EXPIRED") {
    return `its certificate, or that of its authority, has expired${shown === undefined ? "" : ` (its own ends ${shown.validTo})`}`;
  }
  if (code === "CERT_NOT_YET_VALID") {
    return `its certificate is not valid yet${shown === undefined ? "" : ` (it begins ${shown.validFrom})`}: look at this host's clock`;
  }
  const names = shown === undefined ? "other names" : shown.names;
  return `its certificate is for ${names}, and not for ${place.host}: use a name that is in it`;
}

/** Why TLS failed, though the certificate was right as far as it was looked at. */
async function ofTls(attempt: Attempt): Promise<string | undefined> {
  const place = placeOf(attempt);
  const { cert, key } = attempt.tls ?? {};
  const identity = cert === undefined || key === undefined ? {} : { cert, key };
  const answer = await askByTls(place, place.name, identity);
  const refusal = ofIdentity(answer, attempt);
  if (refusal !== undefined) return refusal;
  if (answer.isGreeted) return undefined;
  const plain = await askPlainly(place);
  const what = whatSpeaks(plain);
  return what === undefined ? undefined : `it speaks no TLS: ${what}`;
}

/** Whether it is our certificate that is not taken, or missing. */
function ofIdentity(answer: TlsAnswer, { tls, flags }: Attempt): string | undefined {
  const { code = "", isGreeted, hasAnswered } = answer;
  const identity = flags?.identity;
  if (tls?.cert === undefined) {
    const advice = identity === undefined ? "" : `: give ${identity}`;
    if (code.endsWith("ALERT_CERTIFICATE_REQUIRED")) {
      return `it requires a client certificate${advice}`;
    }
    if (code.endsWith("ALERT_HANDSHAKE_FAILURE")) {
      return `it refuses the TLS handshake, most likely because it requires a client certificate${advice}`;
    }
    return undefined;
  }
  const isAlert =
    /ALERT_(?:UNKNOWN_CA|BAD_CERTIFICATE|CERTIFICATE_|UNSUPPORTED_CERT|ACCESS_DENIED)/;
  const isSilent = isGreeted && !hasAnswered;
  if (!isAlert.test(code) && !isSilent) return undefined;
  const endsAt = endOf(tls.cert);
  if (endsAt !== undefined && endsAt < Date.now()) {
    return `it does not take the client certificate, which has expired ${new Date(endsAt).toISOString()}`;
  }
  return "it does not take the client certificate: one of the authorities that it trusts has to have signed it";
}

function endOf(pem: string): number | undefined {
  try {
    return Date.parse(new X509Certificate(pem).validTo);
  } catch {
    return undefined;
  }
}

/** Why a request without TLS was not answered. */
async function ofPlain(attempt: Attempt): Promise<string | undefined> {
  const place = placeOf(attempt);
  const answer = await askPlainly(place);
  if (answer.kind === "closed" || answer.kind === "tls") {
    const byTls = await askByTls(place, place.name, {});
    const isTls =
      byTls.isGreeted || /ALERT_(?:CERTIFICATE_REQUIRED|HANDSHAKE)/.test(byTls.code ?? "");
    const advice = attempt.flags?.tls;
    if (isTls) return `it speaks TLS${advice === undefined ? "" : `: give ${advice}`}`;
  }
  return answer.kind === "http" ? undefined : whatSpeaks(answer);
}

/** What a port speaks, as far as that is known. */
export function whatSpeaks(answer: PlainAnswer): string | undefined {
  switch (answer.kind) {
    case "http":
      return "it answers in plain HTTP";
    case "data-port":
      return "it is the data port of an agent: give its REST port, 7070 unless the agent's --port says otherwise";
    case "http2":
      return "it speaks HTTP/2 without TLS, as gRPC does";
    case "other":
      return answer.text.startsWith("SSH-")
        ? "it is a port of SSH"
        : `it speaks no HTTP, and begins with ${JSON.stringify(answer.text)}`;
    case "silent":
      return "it takes connections and does not answer";
    default:
      return undefined;
  }
}
