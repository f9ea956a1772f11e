// Whether an agent answers on this host, and whether it is one that we understand.

import { connect as connectTls } from "node:tls";
import { type Health, healthOf, parseFlatJson } from "../calling/index.ts";
import { askPlainly, proxyOption, whatSpeaks } from "../http/index.ts";
import { isReadableVersion, LAYOUT_VERSION, READABLE_VERSIONS } from "../layout/index.ts";
import { counted } from "../text/index.ts";
import { Check, type Finding } from "./finding.ts";
import type { Host } from "./host.ts";

/** Where to ask an agent for its health. */
export type HealthTarget = { socket: string } | { host: string; port: number };

/** What came of asking. `body` is whatever the other side said. */
export type HealthAnswer =
  | { kind: "answer"; status: number; body: unknown }
  /** It speaks TLS, and asks for a certificate that doctor does not have. */
  | { kind: "certificate-wanted" }
  | { kind: "refused"; code: string; speaks?: string | undefined }
  | { kind: "silent" };

const TIMEOUT_MS = 2000;
const MAX_BODY_BYTES = 1 << 20;

/** What fetch says of a place where nobody listens. */
const CLOSED_CODES: readonly string[] = ["ConnectionRefused", "ECONNREFUSED"];

/** GET /health, with a limit to its time and its size; on a port without TLS and, where that fails, with it. */
export async function askHealth(target: HealthTarget): Promise<HealthAnswer> {
  if ("socket" in target) return ask("http://localhost/health", { unix: target.socket });
  const { host, port } = target;
  const place = `${host}:${port}/health`;
  const plain = await ask(`http://${place}`, proxyOption(`http://${place}`));
  if (plain.kind !== "refused" || CLOSED_CODES.includes(plain.code)) return plain;
  // Whose certificate it is does not matter: it is shown no token, and nothing is taken from it but its health.
  const tls = { rejectUnauthorized: false };
  const secure = await ask(`https://${place}`, { ...proxyOption(`https://${place}`), tls });
  if (secure.kind === "answer") return secure;
  if (await speaksTls(host, port)) return { kind: "certificate-wanted" };
  return { ...plain, speaks: whatSpeaks(await askPlainly({ host, port })) };
}

async function ask(url: string, how: BunFetchRequestInit): Promise<HealthAnswer> {
  const signal = AbortSignal.timeout(TIMEOUT_MS);
  try {
    const response = await fetch(url, { signal, redirect: "manual", ...how });
    const text = await limitedText(response);
    return { kind: "answer", status: response.status, body: parsed(text) };
  } catch (error) {
    if (signal.aborted) return { kind: "silent" };
    return { kind: "refused", code: (error as { code?: string }).code ?? "unknown" };
  }
}

/** Whether a port shows a certificate. In TLS 1.3 a client learns only afterwards that its own is missing. */
function speaksTls(host: string, port: number): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const socket = connectTls({ host, port, rejectUnauthorized: false, timeout: TIMEOUT_MS });
  const end = (speaks: boolean) => {
    socket.destroy();
    resolve(speaks);
  };
  socket.on("secureConnect", () => end(true));
  for (const failure of ["error", "timeout", "close"]) socket.on(failure, () => end(false));
  return promise;
}

/** Where an agent of this host says that it keeps its pools, when that is not /dev/shm. */
export function poolDirOf(answer: HealthAnswer): string | undefined {
  return healthIn(answer)?.poolDir ?? undefined;
}

/** One finding for each pool that the agent cannot put back under its name. */
export function checkLost(answer: HealthAnswer): Finding[] {
  const pools = healthIn(answer)?.pools ?? [];
  return pools
    .filter(({ lost }) => lost !== undefined)
    .map(({ app, path, lost }) =>
      new Check(`lost-${app}`, `pool of ${app}`).fail(
        `the file ${path} was removed or replaced, and the agent cannot put it back: ${lost}`,
        "make room, or remove what has taken its name; services and the agent's /metrics go on meanwhile",
      ),
    );
}

function healthIn(answer: HealthAnswer): Health | undefined {
  return answer.kind === "answer" && answer.status === 200 ? healthOf(answer.body) : undefined;
}

async function limitedText(response: Response): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of response.body ?? []) {
    text += decoder.decode(chunk as Uint8Array, { stream: true });
    if (text.length > MAX_BODY_BYTES) break;
  }
  return text;
}

function parsed(text: string): unknown {
  try {
    return parseFlatJson(text);
  } catch {
    return undefined;
  }
}

const START = "start one: `microview agent`";

export function checkSocket(
  host: Host,
  socketPath: string,
  answer: HealthAnswer,
  ownVersion: string,
): Finding {
  const check = new Check("agent-socket", "agent's socket");
  if (!host.exists(socketPath)) {
    return check.warn(
      `there is no ${socketPath}`,
      `${START}; if it has another socket, name it with --socket or MICROVIEW_SOCKET`,
    );
  }
  if (answer.kind === "silent") {
    return check.fail(
      `${socketPath} does not answer`,
      "see the agent's log; restart it: services lose nothing",
    );
  }
  if (answer.kind !== "answer") {
    if (!host.writable(socketPath)) {
      return check.warn(
        `this user may not connect to ${socketPath}`,
        "join the group that owns the socket: see `ls -l` and the agent's --group",
      );
    }
    return check.fail(`nobody listens on ${socketPath}; an agent that died has left it`, START);
  }
  return judge(check, socketPath, answer, ownVersion);
}

export function checkPort(address: string, answer: HealthAnswer, ownVersion: string): Finding {
  const check = new Check("agent-port", "agent's port");
  if (answer.kind === "certificate-wanted") {
    return check.ok(`${address} answers by TLS, and asks for a certificate`);
  }
  if (answer.kind !== "answer") {
    const speaks = answer.kind === "refused" ? answer.speaks : undefined;
    const found =
      answer.kind === "silent"
        ? "does not answer"
        : speaks === undefined
          ? "is closed"
          : `is no REST port of an agent: ${speaks}`;
    return check.warn(
      `${address} ${found}`,
      "collectors connect there; an agent with another --port is reached by that",
    );
  }
  if (answer.status === 401 || answer.status === 429)
    return check.ok(`${address} answers, and asks for a token`);
  return judge(check, address, answer, ownVersion);
}

function judge(
  check: Check,
  where: string,
  answer: Extract<HealthAnswer, { kind: "answer" }>,
  ownVersion: string,
): Finding {
  const health = healthIn(answer);
  if (health === undefined) {
    return check.warn(
      `${where} answers with status ${answer.status}, but not as an agent does`,
      "another program listens there: give the agent another --socket or --port",
    );
  }
  const { version, layoutVersion, pid, pools, problems } = health;
  if (problems.length > 0) {
    return check.fail(
      `the agent at ${where} cannot do its work: ${problems.map(({ message }) => message).join("; ")}`,
      problems.map(({ hint }) => hint).join("; "),
    );
  }
  const finding = `${where}: version ${version}, layout ${layoutVersion}, pid ${pid}, ${counted(pools.length, "application")}`;
  if (!isReadableVersion(layoutVersion)) {
    return check.fail(
      finding,
      `this microview reads layout ${READABLE_VERSIONS}: upgrade agent, services and collectors to versions that are closer`,
    );
  }
  if (version === ownVersion) return check.ok(finding);
  const layout =
    layoutVersion === LAYOUT_VERSION
      ? "the layout is the same, so it works"
      : `it has layout ${LAYOUT_VERSION}, so each reads what it knows: upgrade the older one`;
  return check.warn(finding, `this is version ${ownVersion}: ${layout}`);
}
