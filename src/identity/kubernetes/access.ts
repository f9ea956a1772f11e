// Where the API server of Kubernetes is, and what to show it. In a pod both are given: kubernetes.io, "Accessing the
// Kubernetes API from a Pod".

import { existsSync } from "node:fs";
import { formatEndpoint } from "../../calling/index.ts";
import { readPlainFile } from "../../settings/index.ts";

const SERVICE_ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount";
/** Tokens are a kilobyte or two. */
const TOKEN_CHARACTERS_MAX = 65_536;

export interface KubernetesAccess {
  /** Without a path at its end that asks for anything yet, e.g. `https://10.96.0.1:443`. */
  url: string;
  /** Read again for each request, for the kubelet writes another token before one ends. */
  tokenFile?: string;
  /** Certificates to trust instead of the system's, PEM; read again likewise. */
  caFile?: string;
}

/** How a pod reaches its cluster. @returns undefined outside of pods, and in those without a service account's token */
export function inCluster(
  env: Readonly<Record<string, string | undefined>>,
  folder = SERVICE_ACCOUNT,
): KubernetesAccess | undefined {
  const host = env["KUBERNETES_SERVICE_HOST"];
  const port = env["KUBERNETES_SERVICE_PORT"] || "443";
  const [tokenFile, caFile] = [`${folder}/token`, `${folder}/ca.crt`];
  if (!host || !existsSync(tokenFile) || !existsSync(caFile)) return undefined;
  return { url: `https://${formatEndpoint({ host, port })}`, tokenFile, caFile };
}

/**
 * The address of an API server as a person gives it.
 * @throws Error for what is none, and for plain HTTP beyond this host: who answers there could be anybody
 */
export function parseServerUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol)) {
    throw new Error("it is not an address such as https://10.96.0.1:443");
  }
  if (url.username !== "" || url.password !== "" || url.search !== "" || url.hash !== "") {
    throw new Error("it has more than host, port and path: credentials go into a token file");
  }
  if (url.protocol === "http:" && !/^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(url.hostname)) {
    throw new Error("plain http is for this host alone, as kubectl proxy serves it: take https");
  }
  return url.href.replace(/\/+$/, "");
}

/** The token to show now; none over plain HTTP. @throws Error naming the file, never what is in it */
export function readToken({ url, tokenFile }: KubernetesAccess): string | undefined {
  if (tokenFile === undefined || !url.startsWith("https:")) return undefined;
  const token = readPlainFile(tokenFile).trim();
  if (!/^[\x21-\x7e]+$/.test(token) || token.length > TOKEN_CHARACTERS_MAX) {
    throw new Error(`there is no token in ${tokenFile}`);
  }
  return token;
}
