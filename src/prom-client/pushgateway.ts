// Sends a registry's metrics to a Prometheus Pushgateway, for jobs that end before anybody scrapes them.

import type { IncomingMessage, RequestOptions } from "node:http";
import * as http from "node:http";
import * as https from "node:https";
import { urlToHttpOptions } from "node:url";
import { gzipSync } from "node:zlib";
import { globalRegistry, type Registry } from "./registry.ts";

interface PushgatewayOptions extends RequestOptions {
  /** Whether each call has to name a job. */
  requireJobName?: boolean;
}

interface PushParameters {
  jobName?: string;
  /** Further labels of the group. */
  groupings?: Readonly<Record<string, string>>;
}

interface PushResult {
  resp: IncomingMessage;
  body: string;
}

export class Pushgateway {
  readonly gatewayUrl: string;
  readonly registry: Registry;
  readonly requireJobName: boolean;
  readonly requestOptions: RequestOptions;

  constructor(url: string, options?: PushgatewayOptions | null, registry?: Registry) {
    const { requireJobName, ...requestOptions } = { requireJobName: true, ...options };
    this.gatewayUrl = url;
    this.registry = registry || globalRegistry;
    this.requireJobName = requireJobName;
    this.requestOptions = requestOptions;
  }

  /** Adds to the group, in place of its metrics of the same names. @throws Error without a job's name */
  pushAdd(parameters: PushParameters = {}): Promise<PushResult> {
    return this.#send("POST", parameters);
  }

  /** Puts the metrics in place of the group's. @throws Error without a job's name */
  push(parameters: PushParameters = {}): Promise<PushResult> {
    return this.#send("PUT", parameters);
  }

  /** Deletes the group. @throws Error without a job's name */
  delete(parameters: PushParameters = {}): Promise<PushResult> {
    return this.#send("DELETE", parameters);
  }

  #send(method: string, { jobName, groupings }: PushParameters): Promise<PushResult> {
    if (this.requireJobName && !jobName) throw new Error("Missing jobName parameter");
    return this.#request(method, groupPath(jobName, groupings));
  }

  async #request(method: string, group: string): Promise<PushResult> {
    const target = new URL(this.gatewayUrl);
    const folder = target.pathname === "/" ? "" : target.pathname;
    target.pathname = `${folder}/metrics${group}`;
    target.search = "";
    const headers: Record<string, unknown> = { ...(this.requestOptions.headers as object) };
    if (method === "DELETE") delete headers["Content-Encoding"];
    const options = {
      ...urlToHttpOptions(target),
      ...this.requestOptions,
      ...(this.requestOptions.headers === undefined ? {} : { headers }),
      method,
    } as RequestOptions;
    const body = async (): Promise<string | Uint8Array> => {
      const text = await this.registry.metrics();
      return headers["Content-Encoding"] === "gzip" ? gzipSync(text) : text;
    };
    return exchange(target.protocol, options, method === "DELETE" ? undefined : body);
  }
}

function groupPath(jobName: string | undefined, groupings: PushParameters["groupings"]): string {
  if (!jobName) return "";
  return [["job", jobName], ...Object.entries(groupings ?? {})]
    .map(([name, value]) => `/${encodeURIComponent(name!)}/${encodeURIComponent(value!)}`)
    .join("");
}

/**
 * Makes a request at once and sends its body when that is there: the connection opens while metrics are collected.
 * @param body gives what to send; when it fails the request is given up
 */
function exchange(
  protocol: string,
  options: RequestOptions,
  body: (() => Promise<string | Uint8Array>) | undefined,
): Promise<PushResult> {
  return new Promise((resolve, reject) => {
    const outgoing = requestOf(protocol)(options, (resp) => {
      let text = "";
      resp.setEncoding("utf8");
      resp.on("data", (chunk: string) => {
        text += chunk;
      });
      resp.on("end", () => {
        if (resp.statusCode! < 400) resolve({ resp, body: text });
        else reject(new Error(`push failed with status ${resp.statusCode}, ${text}`));
      });
    });
    outgoing.on("error", reject);
    outgoing.on("timeout", () => {
      outgoing.destroy(new Error("Pushgateway request timed out"));
    });
    if (body === undefined) {
      outgoing.end();
      return;
    }
    body().then(
      (bytes) => outgoing.end(bytes),
      (error) => {
        reject(error);
        outgoing.destroy();
      },
    );
  });
}

type HttpModule = { readonly request: typeof http.request; readonly default?: HttpModule };

const LOADED = { http: http.request, https: https.request };

/**
 * The function that makes a request, looked up again each time: tests and tracers put others in its place. nock and
 * `spyOn` do so on the object that a module is by default, `jest.mock("http", …)` gives another module, which may have
 * nothing but names.
 */
function requestOf(protocol: string): typeof http.request {
  const isSecure = protocol === "https:";
  const module: HttpModule = isSecure ? https : http;
  const loaded = isSecure ? LOADED.https : LOADED.http;
  return module.request === loaded ? (module.default?.request ?? loaded) : module.request;
}
