// Finds out which protocol a port speaks after a request has failed, because Bun's errors hardly say. It sends nothing
// about us, and takes no more than a moment.

import { connect as connectPlain } from "node:net";
import { connect as connectTls, type TLSSocket } from "node:tls";

const PATIENCE_MS = 1_500;
/** Of what a port says first. */
const BYTES_MAX = 512;
const QUESTION = "GET / HTTP/1.0\r\nHost: localhost\r\n\r\n";
/** How the data port of an agent answers to what is not its protocol: the status `malformed`, and its version. */
const DATA_PORT_ANSWER = /^02000000[0-9a-f]{2}000000$/;

export interface Place {
  host: string;
  port: number;
}

/** What a port says to a question of HTTP, in plain text. */
export type PlainAnswer =
  | { kind: "http"; status: number; text: string }
  | { kind: "data-port" | "http2" | "tls" | "closed" | "silent" | "unreachable" }
  | { kind: "other"; text: string };

export async function askPlainly({ host, port }: Place): Promise<PlainAnswer> {
  const { bytes, end } = await exchange(host, port);
  const text = bytes.toString("latin1");
  const status = /^HTTP\/\d\.\d (\d{3})/.exec(text)?.[1];
  if (status !== undefined) return { kind: "http", status: Number(status), text };
  if (bytes.length === 0) return { kind: end };
  if (DATA_PORT_ANSWER.test(bytes.toString("hex"))) return { kind: "data-port" };
  // A frame of SETTINGS, or one that says goodbye: RFC 9113, 4.1.
  if (bytes.length >= 9 && (bytes[3] === 4 || bytes[3] === 7) && bytes[0] === 0) {
    return { kind: "http2" };
  }
  if ((bytes[0] === 0x15 || bytes[0] === 0x16) && bytes[1] === 3) return { kind: "tls" };
  const [line = ""] = text.replace(/[^\x20-\x7e\r\n]/g, "?").split(/[\r\n]/);
  return { kind: "other", text: line.slice(0, 60) };
}

function exchange(
  host: string,
  port: number,
): Promise<{ bytes: Buffer; end: "closed" | "silent" | "unreachable" }> {
  return new Promise((resolve) => {
    const socket = connectPlain({ host, port });
    let bytes = Buffer.alloc(0);
    let isConnected = false;
    const done = (end: "closed" | "silent" | "unreachable") => {
      clearTimeout(timer);
      socket.destroy();
      resolve({ bytes, end });
    };
    const timer = setTimeout(() => done(isConnected ? "silent" : "unreachable"), PATIENCE_MS);
    socket.on("connect", () => {
      isConnected = true;
      socket.write(QUESTION);
    });
    socket.on("data", (more: Buffer) => {
      bytes = Buffer.concat([bytes, more]);
      // The first line is enough to recognise the protocol.
      if (bytes.length >= BYTES_MAX || bytes.includes("\n")) done("closed");
    });
    socket.on("error", () => done(isConnected ? "closed" : "unreachable"));
    socket.on("close", () => done("closed"));
  });
}

interface PeerCertificate {
  validFrom: string;
  validTo: string;
  /** For whom it is. */
  names: string;
}

/** How a port takes a greeting by TLS. */
export interface TlsAnswer {
  /** OpenSSL's, when the connection has ended by an error. */
  code: string | undefined;
  isGreeted: boolean;
  /** It has answered to a request behind the greeting. */
  hasAnswered: boolean;
  certificate: PeerCertificate | undefined;
}

/** @param identity what is shown, if that is asked for */
export function askByTls(
  { host, port }: Place,
  serverName: string,
  identity: { cert?: string; key?: string },
): Promise<TlsAnswer> {
  return new Promise((resolve) => {
    const answer: TlsAnswer = {
      code: undefined,
      isGreeted: false,
      hasAnswered: false,
      certificate: undefined,
    };
    let socket: TLSSocket | undefined;
    const done = () => {
      clearTimeout(timer);
      socket?.destroy();
      resolve(answer);
    };
    const timer = setTimeout(done, PATIENCE_MS);
    try {
      // It is only asked what it is: nothing that matters is sent.
      socket = connectTls({
        host,
        port,
        servername: serverName,
        rejectUnauthorized: false,
        ...identity,
      });
    } catch (error) {
      answer.code = (error as NodeJS.ErrnoException).code;
      return done();
    }
    const greeted = socket;
    greeted.on("secureConnect", () => {
      answer.isGreeted = true;
      answer.certificate = certificateOf(greeted);
      greeted.write(QUESTION);
    });
    greeted.on("data", () => {
      answer.hasAnswered = true;
      done();
    });
    greeted.on("error", (error: NodeJS.ErrnoException) => {
      answer.code = error.code;
      done();
    });
    greeted.on("close", done);
  });
}

function certificateOf(socket: TLSSocket): PeerCertificate | undefined {
  const { valid_from, valid_to, subject, subjectaltname } = socket.getPeerCertificate();
  if (valid_to === undefined) return undefined;
  const names = subjectaltname?.replaceAll(/\b(?:DNS|IP Address):/g, "") ?? String(subject?.CN);
  return {
    validFrom: valid_from,
    validTo: valid_to,
    names: names.replace(/[^\x20-\x7e]/g, "?").slice(0, 200),
  };
}
