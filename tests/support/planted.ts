// Secrets that tests plant wherever a service may record something, to look for them where they must not be.

import type { MicroView } from "../../src/client/index.ts";
import { LEVELS } from "../../src/layout/index.ts";

export const SECRET = "correct-horse-battery";
export const CARD = "4242 4242 4242 4242";

const properties = () => ({
  password: SECRET,
  "X-Api-Key": SECRET,
  note: `card ${CARD}`,
  request: { headers: new Headers({ authorization: SECRET, cookie: SECRET }) },
  list: [{ clientSecret: { nested: SECRET } }, new Map([["accessToken", SECRET]])],
  cause: Object.assign(new Error(`card ${CARD}`), { token: SECRET, [`set-cookie`]: [SECRET] }),
});

export function passEverywhere(mv: MicroView): void {
  const error = () => Object.assign(new Error(`paid by ${CARD}`), { refreshToken: SECRET });
  for (const log of [mv.log, mv.logger("part")]) {
    for (const level of LEVELS) {
      // A message that comes again goes into the table of definitions.
      for (let i = 0; i < 3; i++) log[level](`paid by ${CARD}`, properties());
      log[level](error(), properties());
    }
  }
  mv.measure("latency", "ms").record(1, properties());
  const span = mv.span("query");
  span.begin({ properties: properties() }).set("password", SECRET).set("all", properties()).end();
  span.begin().end("error", properties());
  span.run(() => mv.log.info("within", properties()), { properties: properties() });
  void span.runAsync(async () => {}, { properties: properties() });
}

export const redactHook = (_key: string, value: unknown) =>
  typeof value === "string" ? value.replaceAll(CARD, "[card]") : value;
