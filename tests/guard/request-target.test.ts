// Where requests go, whatever their Host is.

import { expect, test } from "bun:test";
import { addressed, pathOf } from "../../src/guard/request-target.ts";

const HOSTS = ["a", "ab", "abc", "abcd", "localhost", "127.0.0.1", "[::1]"];

for (const scheme of ["http", "https"]) {
  for (const host of HOSTS) {
    for (const port of ["", ":1", ":65535"]) {
      test(`${scheme}://${host}${port} has its path where Elysia looks for it`, () => {
        const given = new Request(`${scheme}://${host}${port}/v1/apps?x=/y`);
        const request = addressed(given);
        expect(pathOf(request)).toBe("/v1/apps");
        expect(request.url.slice(request.url.indexOf("/", 11))).toBe("/v1/apps?x=/y");
      });
    }
  }
}
