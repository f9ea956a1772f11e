// A lake's REST interface, as `microview query`, `trace` and `export` call it. A caller that leaves ends its query there.

import { foreignWords } from "../../calling/index.ts";
import { failureOf, proxyOption, readAuthorities } from "../../http/index.ts";
import { type Part, partsOf, toldError } from "./answer-lines.ts";
import { LakeError, type ToldError } from "./lake-error.ts";
import type { TimeRange } from "./time-range.ts";

/** Where a lake listens unless it is told otherwise. */
export const DEFAULT_LAKE_URL = "http://127.0.0.1:7080";

export interface LakeOptions {
  /** `http://host:port` */
  readonly url: string;
  readonly token?: string | undefined;
  /** Authorities to trust, PEM; those of the system when there are none. */
  readonly ca?: string | undefined;
}

/** Formats that a lake writes by itself. */
export type DownloadFormat = "csv" | "arrow" | "parquet";

/** A table that a lake has. */
export interface Table {
  readonly name: string;
  readonly columns: readonly { readonly name: string; readonly type: string }[];
}

/** Reads what the options of a {@link LakeClient} are made of. @throws SettingError for a file that cannot be used */
export function lakeOptions(
  url: string,
  token: string | undefined,
  caPath: string | undefined,
): LakeOptions {
  return { url, token, ca: caPath === undefined ? undefined : readAuthorities(caPath, "--ca") };
}

export class LakeClient {
  readonly url: string;

  constructor(readonly options: LakeOptions) {
    this.url = options.url.replace(/\/+$/, "");
  }

  /**
   * Asks a question. The answer comes in parts, as it is made.
   * @param stop ends the query, in the lake too
   * @throws LakeError
   */
  async *query(sql: string, range: TimeRange, stop?: AbortSignal): AsyncGenerator<Part> {
    const response = await this.#ask(sql, range, "ndjson", stop);
    try {
      yield* partsOf(response.body!);
    } catch (error) {
      throw await this.#explained(error, stop);
    }
  }

  /** All rows of an answer that is short. */
  async rows(
    sql: string,
    range: TimeRange,
    stop?: AbortSignal,
  ): Promise<Record<string, unknown>[]> {
    const rows: Record<string, unknown>[] = [];
    let names: readonly string[] = [];
    for await (const part of this.query(sql, range, stop)) {
      if (part.kind === "columns") names = part.columns.map(({ name }) => name);
      if (part.kind !== "rows") continue;
      for (const row of part.rows) {
        rows.push(Object.fromEntries(names.map((name, i) => [name, row[i]])));
      }
    }
    return rows;
  }

  /** An answer as a file, written by the lake. @throws LakeError */
  async *download(
    sql: string,
    range: TimeRange,
    format: DownloadFormat,
    stop?: AbortSignal,
  ): AsyncGenerator<Uint8Array> {
    const response = await this.#ask(sql, range, format, stop);
    try {
      for await (const chunk of response.body ?? []) yield chunk as Uint8Array;
    } catch (error) {
      throw await this.#explained(error, stop);
    }
  }

  /** Tables and their columns. @throws LakeError */
  async tables(stop?: AbortSignal): Promise<Table[]> {
    const response = await this.#fetch("/v1/tables", {}, stop);
    const answer = (await response.json().catch(() => undefined)) as unknown;
    const list = Array.isArray(answer) ? answer : (answer as { tables?: unknown } | null)?.tables;
    return Array.isArray(list) ? list.flatMap(tableOf) : [];
  }

  /** What the lake says of itself; nothing of it is checked. @throws LakeError */
  async status(stop?: AbortSignal): Promise<unknown> {
    const response = await this.#fetch("/v1/status", {}, stop);
    return response.json().catch(() => undefined);
  }

  #ask(
    sql: string,
    range: TimeRange,
    format: "ndjson" | DownloadFormat,
    stop: AbortSignal | undefined,
  ): Promise<Response> {
    const { from, to } = range;
    const body = JSON.stringify({
      sql,
      ...(from === undefined ? {} : { from }),
      ...(to === undefined ? {} : { to }),
      format,
    });
    const headers = { "content-type": "application/json" };
    return this.#fetch("/v1/query", { method: "POST", headers, body }, stop);
  }

  async #fetch(path: string, init: RequestInit, stop: AbortSignal | undefined): Promise<Response> {
    const { token, ca } = this.options;
    const url = this.url + path;
    const authorization = token === undefined ? {} : { authorization: `Bearer ${token}` };
    let response: Response;
    try {
      response = await fetch(url, {
        ...init,
        headers: { ...(init.headers as Record<string, string>), ...authorization },
        redirect: "manual",
        ...(stop === undefined ? {} : { signal: stop }),
        ...(ca === undefined ? {} : { tls: { ca } }),
        ...proxyOption(url),
      });
    } catch (error) {
      throw await this.#explained(error, stop);
    }
    if (response.ok) return response;
    throw await this.#refusal(response);
  }

  /** What a status other than 200 means. */
  async #refusal(response: Response): Promise<LakeError> {
    const { status } = response;
    const text = await response.text().catch(() => "");
    const told = objectIn(text);
    if (told?.message === undefined) {
      const shown = foreignWords(text.split("\n")[0]?.slice(0, 80)) ?? "";
      return new LakeError(
        `what answers at ${this.url} is no lake: ${status}${shown === "" ? "" : ` ${shown}`}`,
        "--lake names the address of `microview lake`",
      );
    }
    // All servers of ours say so of a path that they do not have, and a lake has all that are asked here.
    if (told.code === "no-such-route") return this.#isAgent();
    const error = toldError(told);
    if (status === 401 || status === 403) {
      // What a caller of HTTP has to send is written for programs.
      const hint = status === 401 ? tokenHint(this.options.token) : error.hint;
      return new LakeError(
        `the lake at ${this.url} refuses: ${error.message}`,
        hint ?? tokenHint(this.options.token),
      );
    }
    return error;
  }

  #isAgent(): LakeError {
    return new LakeError(
      `what answers at ${this.url} is an agent or a collector, not a lake`,
      "--lake names the address of `microview lake`, port 7080 unless its --port says otherwise",
    );
  }

  /** What a failed request, or a broken answer, says to people. */
  async #explained(error: unknown, stop: AbortSignal | undefined): Promise<unknown> {
    if (stop?.aborted === true || error instanceof LakeError) return error;
    const { ca } = this.options;
    const why = await failureOf(error, {
      url: this.url,
      ...(this.url.startsWith("https:") ? { tls: ca === undefined ? {} : { ca } } : {}),
      flags: { ca: "--ca" },
    });
    if (why.includes("data port of an agent")) return this.#isAgent();
    return new LakeError(`cannot ask the lake at ${this.url}: ${why}`, this.#hintFor(why));
  }

  /** @param why of `failureOf` */
  #hintFor(why: string): string | undefined {
    const { host } = new URL(this.url);
    if (why.startsWith("it speaks no TLS")) return `give --lake http://${host}`;
    if (why.startsWith("it speaks TLS")) return `give --lake https://${host}`;
    // It says which flag or name helps.
    if (why.startsWith("its certificate")) return undefined;
    return "start one with `microview lake`, or say where one is with --lake URL or MICROVIEW_LAKE";
  }
}

/** @param sent the token that the lake did not take */
function tokenHint(sent: string | undefined): string {
  return sent === undefined
    ? "give --token-file FILE, a file with a token that has the scope events:read"
    : "give --token-file another file: its first token has to be one in the lake's own token file";
}

function objectIn(text: string): ToldError | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? value : undefined;
  } catch {
    return undefined;
  }
}

function tableOf(value: unknown): Table[] {
  const { name, columns } = (value ?? {}) as Record<string, unknown>;
  if (typeof name !== "string" || !Array.isArray(columns)) return [];
  return [
    {
      name,
      columns: columns.flatMap((column: unknown) => {
        const { name, type } = (column ?? {}) as Record<string, unknown>;
        return typeof name === "string" ? [{ name, type: String(type ?? "") }] : [];
      }),
    },
  ];
}
