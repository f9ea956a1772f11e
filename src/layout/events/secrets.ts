// Which properties are secrets, by their names and by how they are written. The recorder hides them before anything of
// them is stored, and a lake those that come by OTLP.

/** In lower case and without marks: `x-api-key`, `clientSecret` and `DB_PASSWORD` are such names. */
const SECRET_PARTS = [
  ...["password", "passwd", "passphrase", "secret", "authorization", "credential"],
  ...["apikey", "accesskey", "privatekey", "signingkey", "encryptionkey", "connectionstring"],
];
/** Words that mean something else where more follows: `tokenCount`, `cookieConsent`. Plurals are secrets too. */
const SECRET_ENDS = ["token", "cookie", "pwd", "jwt", "bearer", "csrf", "sessionid"];
/** Words that other words end with: `compass`, `mapping`. */
const SECRET_WORDS = new Set(["pass", "auth", "basicauth", "sid", "otp", "pin", "sig"]);
/** All headers of a request as Node.js has sent them, in one text. */
const SECRET_FIELDS = new Set(["_header"]);
/** A longer name is looked at from its end. */
const LOOKED_AT = 255;
/** `jwt_1` and `token_value` are as secret as what they are called after. */
const NUMBER_OR_VALUE = /(?:values?|\p{N})+$/u;
/** Lists of headers in turn: a name, its value, the next name. */
const HEADER_LIST = /(?:headers|trailers)$/i;
/** Of longer texts nobody makes names. */
const NAME_CHARACTERS_MAX = 100;
const HIDDEN = "[redacted]";

export class SecretNames {
  readonly #ends: readonly string[];

  /** @param more names, and ends of names, that are secrets too */
  constructor(more: readonly string[] = []) {
    this.#ends = [...SECRET_ENDS, ...more.map(plain).filter((name) => name !== "")];
  }

  hides(name: string): boolean {
    const seen = name.slice(-LOOKED_AT);
    const text = plain(seen);
    return (
      this.#isSecret(text) ||
      this.#isSecret(text.replace(NUMBER_OR_VALUE, "")) ||
      SECRET_FIELDS.has(seen) ||
      // Attributes of OpenTelemetry have names within names: `smtp.auth`.
      SECRET_WORDS.has(plain(seen.slice(seen.lastIndexOf(".") + 1)).replace(NUMBER_OR_VALUE, ""))
    );
  }

  /**
   * Whether an element of a list is the value of a secret: the second of a pair whose first is its name, or what follows
   * its name in a list of headers.
   * @param list the name of the list
   * @param length how many elements it has
   * @param before the element before it
   */
  hidesElement(list: string, length: number, at: number, before: unknown): boolean {
    if ((at & 1) === 0 || typeof before !== "string") return false;
    if (length !== 2 && !HEADER_LIST.test(list)) return false;
    return before.length <= NAME_CHARACTERS_MAX && this.hides(before);
  }

  #isSecret(text: string): boolean {
    const singular = text.replace(/s$/, "");
    return (
      SECRET_PARTS.some((part) => text.includes(part)) ||
      this.#ends.some((end) => text.endsWith(end) || singular.endsWith(end)) ||
      SECRET_WORDS.has(text) ||
      SECRET_WORDS.has(singular)
    );
  }

  /** A text without what is secret in it, if it is an address: who asks, and parameters with names of secrets. */
  withoutSecrets(text: string): string {
    if (!mayBeAddress(text)) return text;
    const parts = ADDRESS.exec(text);
    if (parts === null) return text;
    const [, scheme = "", user, rest = "", query = "", fragment = ""] = parts;
    const shown = user === undefined ? "" : `${HIDDEN}@`;
    return `${scheme}${shown}${rest}${this.#parameters(query)}${this.#parameters(fragment)}`;
  }

  #parameters(text: string): string {
    if (!text.includes("=")) return text;
    return text.replaceAll(PARAMETER, (all, mark: string, name: string) =>
      this.hides(decoded(name)) ? `${mark}${name}=${HIDDEN}` : all,
    );
  }
}

/** An address with its scheme, or a path with what is asked for. */
const ADDRESS =
  /^(\s*[a-z][a-z0-9+.-]*:[/\\]{2}|(?=\/))(?:([^/\\?#]*)@)?([^?#]*)(\?[^#]*)?(#[\s\S]*)?$/i;
const PARAMETER = /([?#&;])([^=&;#]*)=[^&;#]*/g;

function mayBeAddress(text: string): boolean {
  return text.includes("://") || (text.startsWith("/") && text.includes("="));
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function plain(name: string): string {
  return name.toLowerCase().replaceAll(/[^\p{L}\p{N}]/gu, "");
}
