// What is said of files that hold no certificate or no key, by what they hold instead.

import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { certificatesOf, checkPair, privateKeyOf, TlsError } from "../../src/http/index.ts";
import { Authority } from "../support/certificates.ts";

const authority = new Authority();
const folder = mkdtempSync("/tmp/microview-test-");
const { cert, key } = authority.sign("agent");
const other = authority.sign("other");

afterAll(() => {
  authority[Symbol.dispose]();
  rmSync(folder, { recursive: true });
});

/** What `openssl` makes of the certificate or the key, as a text file would be read. */
function made(...words: string[]): string {
  writeFileSync(join(folder, "cert.pem"), cert);
  writeFileSync(join(folder, "key.pem"), key);
  const { success, stderr } = Bun.spawnSync(["openssl", ...words, "-out", "made"], {
    cwd: folder,
    stderr: "pipe",
  });
  if (!success) throw new Error(stderr.toString());
  return readFileSync(join(folder, "made"), "utf8");
}

function complaint(act: () => unknown): string {
  try {
    act();
  } catch (error) {
    if (error instanceof TlsError) return error.message;
    throw error;
  }
  return "no error";
}

const PASSPHRASE = ["-aes256", "-passout", "pass:s3cret"];

describe("a file of certificates", () => {
  test("may have several, and other text between them", () => {
    expect(certificatesOf(`agent\n${cert}\nother\n${other.cert}`, "--ca")).toHaveLength(2);
  });

  test.each([
    ["a key", () => key, "it is a private key"],
    [
      "DER",
      () => made("x509", "-in", "cert.pem", "-outform", "der"),
      "it is DER: `openssl x509 -in",
    ],
    [
      "PKCS#12",
      () =>
        made(
          ...["pkcs12", "-export", "-in", "cert.pem", "-inkey", "key.pem", "-passout", "pass:x"],
        ),
      "it is DER",
    ],
    [
      "a request",
      () => made("req", "-new", "-key", "key.pem", "-subj", "/CN=agent"),
      "it is a request for a certificate: have an authority sign it",
    ],
    ["a public key", () => made("pkey", "-in", "key.pem", "-pubout"), "it is a public key"],
    ["UTF-16", () => Buffer.from(cert, "utf16le").toString(), "it is UTF-16"],
    [
      "UTF-16 with a mark",
      () => Buffer.concat([Buffer.from([0xff, 0xfe]), Buffer.from(cert, "utf16le")]).toString(),
      "it is UTF-16",
    ],
    ["a page", () => "<html>not found</html>", "its format is unknown"],
    ["half a certificate", () => cert.slice(0, 300), "it is a certificate"],
  ])("that is %s is refused", (_, text, reason) => {
    const said = complaint(() => certificatesOf(text(), "--ca"));
    expect(said).toStartWith("--ca: there is no certificate in it (PEM); ");
    expect(said).toContain(reason);
  });

  test("with a damaged one is refused, which is counted", () => {
    const damaged = cert.replace(/\n[^-]{20}/, "\nAAAAAAAAAAAAAAAAAAAA");
    expect(complaint(() => certificatesOf(`${other.cert}${damaged}`, "--ca"))).toBe(
      "--ca: certificate 2 in it cannot be read: it is damaged (PEM)",
    );
  });
});

describe("a file of a key", () => {
  test.each([
    [
      "with a passphrase",
      () => made("pkey", "-in", "key.pem", ...PASSPHRASE),
      "it is a private key with a passphrase: `openssl pkey -in FILE -out FILE.pem` takes it off",
    ],
    [
      "with a passphrase, as OpenSSL wrote it before",
      () => made("ec", "-in", "key.pem", ...PASSPHRASE),
      "it is a private key with a passphrase",
    ],
    ["in DER", () => made("pkey", "-in", "key.pem", "-outform", "der"), "it is "],
    ["of a certificate", () => cert, "it is a certificate"],
    ["damaged", () => key.replace(/\n[^-]{20}/, "\nAAAAAAAAAAAAAAAAAAAA"), "and it is damaged"],
  ])("%s is refused", (_, text, reason) => {
    const said = complaint(() => privateKeyOf(text(), "--tls-key"));
    expect(said).toStartWith("--tls-key: it is no private key that can be read");
    expect(said).toContain(reason);
  });

  test("of another certificate is refused, and its own is not", () => {
    const labels = { cert: "--tls-cert", key: "--tls-key" };
    expect(complaint(() => checkPair({ cert, key: other.key }, labels))).toBe(
      "--tls-key: it is not the key of the certificate of --tls-cert",
    );
    expect(complaint(() => checkPair({ cert, key }, labels))).toBe("no error");
  });
});
