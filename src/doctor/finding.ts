// What a check says.

/** `fail`: microview cannot do its work here. `warn`: it works, but something is missing or tight. */
export type Level = "ok" | "warn" | "fail";

/** What a check is of interest for. Only what all of microview needs can fail. */
export type Need = "core" | "rdma" | "probes";

export interface Finding {
  /** Stays the same between versions, for programs. */
  id: string;
  title: string;
  need: Need;
  level: Level;
  /** What was found, as part of a sentence. */
  finding: string;
  /** What to do about it; absent when all is well. */
  advice?: string;
}

/** Makes the findings of one check. */
export class Check {
  constructor(
    readonly id: string,
    readonly title: string,
    readonly need: Need = "core",
  ) {}

  ok(finding: string): Finding {
    return { ...this.#head(), level: "ok", finding };
  }

  warn(finding: string, advice: string): Finding {
    return { ...this.#head(), level: "warn", finding, advice };
  }

  fail(finding: string, advice: string): Finding {
    return { ...this.#head(), level: "fail", finding, advice };
  }

  #head() {
    const { id, title, need } = this;
    return { id, title, need };
  }
}
