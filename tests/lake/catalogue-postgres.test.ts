// The catalogue's SQL is SQLite's and PostgreSQL's alike: what every catalogue promises, in a real PostgreSQL. A lake has
// SQLite so far; this is the ground for one that has not.

import { afterAll, beforeAll, describe, setDefaultTimeout, test } from "bun:test";
import { Catalogue } from "../../src/lake/index.ts";
import { Postgres, withoutPostgres } from "../support/postgres.ts";
import { patience } from "../support/speed.ts";
import { catalogueSuite } from "./catalogue-suite.ts";
import { DAY_NS } from "./fixtures.ts";

setDefaultTimeout(patience(60_000));

const reason = withoutPostgres();

if (reason !== undefined) {
  test.skip(`a catalogue in PostgreSQL: ${reason}`, () => {});
} else {
  describe("in PostgreSQL", () => {
    let postgres: Postgres;
    beforeAll(async () => {
      postgres = await Postgres.start();
    });
    afterAll(() => postgres[Symbol.asyncDispose]());

    catalogueSuite(async () => {
      const place = await postgres.database();
      const clock = { nowNs: DAY_NS };
      const open = () => Catalogue.open(place, () => clock.nowNs);
      const catalogue = await open();
      return { catalogue, clock, open, [Symbol.asyncDispose]: () => catalogue.close() };
    });
  });
}
