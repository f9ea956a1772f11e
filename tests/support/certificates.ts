// Certificates for tests, made by openssl: an authority, and what it signs.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

export interface Pem {
  cert: string;
  key: string;
}

const KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];

/** Of `openssl ca`, the only one of its commands that signs for the past. */
const CA_SETTINGS = `[ca]
default_ca=own
[own]
database=index.txt
serial=serial
new_certs_dir=.
default_md=sha256
policy=any
x509_extensions=leaf
[any]
commonName=supplied
[leaf]
subjectAltName=DNS:localhost,IP:127.0.0.1
`;

/** An authority of its own for one test. */
export class Authority implements Disposable {
  readonly #folder = mkdtempSync("/tmp/microview-test-");
  readonly cert: string;

  constructor(name = "test-ca") {
    this.#openssl(
      ...["req", "-x509", ...KEY, "-keyout", "ca.key", "-out", "ca.pem", "-days", "2"],
      ...["-subj", `/CN=${name}`],
    );
    this.cert = this.#read("ca.pem");
    writeFileSync(join(this.#folder, "ca.cnf"), CA_SETTINGS);
    writeFileSync(join(this.#folder, "index.txt"), "");
    writeFileSync(join(this.#folder, "serial"), "01");
  }

  /** A certificate for localhost that it has signed. */
  sign(name: string, time: "now" | "ended" | "to come" = "now"): Pem {
    this.#openssl(
      ...["req", ...KEY, "-keyout", "leaf.key", "-out", "leaf.csr", "-subj", `/CN=${name}`],
    );
    const [from, to] = {
      now: ["200101000000Z", "491231000000Z"],
      ended: ["200101000000Z", "210101000000Z"],
      "to come": ["480101000000Z", "491231000000Z"],
    }[time];
    this.#openssl(
      ...["ca", "-batch", "-notext", "-config", "ca.cnf", "-cert", "ca.pem", "-keyfile", "ca.key"],
      ...["-in", "leaf.csr", "-out", "leaf.pem", "-startdate", from!, "-enddate", to!],
    );
    return { cert: this.#read("leaf.pem"), key: this.#read("leaf.key") };
  }

  /** One that nobody else has signed. */
  selfSigned(name: string, names = "DNS:localhost"): Pem {
    this.#openssl(
      ...["req", "-x509", ...KEY, "-keyout", "self.key", "-out", "self.pem", "-days", "2"],
      ...["-subj", `/CN=${name}`, "-addext", `subjectAltName=${names}`],
    );
    return { cert: this.#read("self.pem"), key: this.#read("self.key") };
  }

  [Symbol.dispose](): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }

  #read(name: string): string {
    return readFileSync(join(this.#folder, name), "utf8");
  }

  #openssl(...words: string[]): void {
    const made = Bun.spawnSync(["openssl", ...words], { cwd: this.#folder, stderr: "pipe" });
    if (!made.success) throw new Error(made.stderr.toString());
  }
}

/** A certificate for localhost that vouches for itself. */
export function selfSigned(): Pem {
  const folder = mkdtempSync("/tmp/microview-test-");
  try {
    const [cert, key] = [join(folder, "cert.pem"), join(folder, "key.pem")];
    const made = Bun.spawnSync(
      ["openssl", "req", "-x509", ...KEY, "-days", "2"].concat(
        ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"],
        ["-keyout", key, "-out", cert],
      ),
      { stderr: "pipe" },
    );
    if (!made.success) throw new Error(made.stderr.toString());
    return { cert: readFileSync(cert, "utf8"), key: readFileSync(key, "utf8") };
  } finally {
    rmSync(folder, { recursive: true });
  }
}
