// The files of tokens and certificates that a server is given: read at its start, and again when they change.

import type { Log } from "./log.ts";
import { Renewal } from "./renewal.ts";
import type { TlsIdentity } from "./tls.ts";
import { readServerTls, type TlsFiles } from "./tls-files.ts";
import { readTokens } from "./token-file.ts";
import type { TokenEntry } from "./tokens.ts";
import { WatchedFiles } from "./watched-files.ts";

/** Paths, or what messages call them. */
export interface AccessPaths<Path = string | undefined> extends TlsFiles<Path> {
  tokens: Path;
}

/** A server that takes other tokens and certificates while it runs. */
interface Renewed {
  renewTokens(entries: readonly TokenEntry[]): void;
  renewTls(tls: TlsIdentity): void;
}

export class AccessFiles {
  /** What they hold at the start. */
  readonly first: { readonly tokens?: readonly TokenEntry[]; readonly tls?: TlsIdentity };
  readonly #tokens: WatchedFiles<TokenEntry[] | undefined>;
  readonly #tls: WatchedFiles<TlsIdentity | undefined>;

  /**
   * @param labels how messages name the files
   * @param what how the log names what they hold, e.g. `the tokens`
   * @throws SettingError for files that cannot be read, or not be used together
   */
  constructor(
    paths: AccessPaths,
    labels: AccessPaths<string>,
    what: { tokens: string; certificates: string },
  ) {
    const { cert, key, clientCa } = paths;
    this.#tls = new WatchedFiles(what.certificates, [cert, key, clientCa], () =>
      readServerTls(paths, labels),
    );
    this.#tokens = new WatchedFiles(what.tokens, [paths.tokens], () =>
      readTokens(paths.tokens, labels.tokens),
    );
    const { first: tokens } = this.#tokens;
    const { first: tls } = this.#tls;
    this.first = {
      ...(tokens === undefined ? {} : { tokens }),
      ...(tls === undefined ? {} : { tls }),
    };
  }

  /** Hands a server what they hold whenever they change, until what is returned is stopped. */
  follow(server: Renewed, log: Log): Renewal {
    const renewal = new Renewal(log);
    // Only files that were given are followed, so there is something in them.
    renewal.follow(this.#tokens, (changed) => server.renewTokens(changed!));
    renewal.follow(this.#tls, (changed) => server.renewTls(changed!));
    return renewal;
  }
}
