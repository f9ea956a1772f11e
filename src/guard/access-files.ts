// A server's files of tokens and certificates. They are read at the start, and again when they change.

import type { Log } from "./log.ts";
import { Renewal } from "./renewal.ts";
import type { TlsIdentity } from "./tls.ts";
import { readServerTls, type TlsFiles } from "./tls-files.ts";
import { readTokens } from "./token-file.ts";
import type { TokenEntry } from "./tokens.ts";
import { WatchedFiles } from "./watched-files.ts";

/** Paths of the files, or the names that messages use for them. */
export interface AccessPaths<Path = string | undefined> extends TlsFiles<Path> {
  tokens: Path;
}

/** A server that can change its tokens and certificates while it runs. */
interface Renewed {
  renewTokens(entries: readonly TokenEntry[]): void;
  renewTls(tls: TlsIdentity): void;
}

export class AccessFiles {
  /** The contents at the start. */
  readonly first: { readonly tokens?: readonly TokenEntry[]; readonly tls?: TlsIdentity };
  readonly #tokens: WatchedFiles<TokenEntry[] | undefined>;
  readonly #tls: WatchedFiles<TlsIdentity | undefined>;

  /**
   * @param labels how messages name the files
   * @param what how the log names their contents, e.g. `the tokens`, and which scopes messages propose
   * @throws SettingError for files that cannot be read or do not fit together
   */
  constructor(
    paths: AccessPaths,
    labels: AccessPaths<string>,
    what: { tokens: string; certificates: string; scopes?: string },
  ) {
    const { cert, key, clientCa } = paths;
    this.#tls = new WatchedFiles(what.certificates, [cert, key, clientCa], () =>
      readServerTls(paths, labels),
    );
    this.#tokens = new WatchedFiles(what.tokens, [paths.tokens], () =>
      readTokens(paths.tokens, labels.tokens, what.scopes),
    );
    const { first: tokens } = this.#tokens;
    const { first: tls } = this.#tls;
    this.first = {
      ...(tokens === undefined ? {} : { tokens }),
      ...(tls === undefined ? {} : { tls }),
    };
  }

  /** Gives a server the new contents whenever a file changes, until the returned renewal is stopped. */
  follow(server: Renewed, log: Log): Renewal {
    const renewal = new Renewal(log);
    // Only files that were given are followed, so neither value is undefined.
    renewal.follow(this.#tokens, (changed) => server.renewTokens(changed!));
    renewal.follow(this.#tls, (changed) => server.renewTls(changed!));
    return renewal;
  }
}
