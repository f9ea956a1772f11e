// Which requests take a proxy that the environment names, and that none to this host ever does.

import { describe, expect, test } from "bun:test";
import { isLoopback, proxyFor } from "../../src/http/index.ts";

const PROXY = "http://proxy.test:3128";

test.each([
  ["localhost", true],
  ["LOCALHOST.", true],
  ["shop.localhost", true],
  ["127.0.0.1", true],
  ["127.8.9.10", true],
  ["::1", true],
  ["::ffff:127.0.0.1", true],
  ["::ffff:7f00:1", true],
  ["128.0.0.1", false],
  ["::2", false],
  ["localhost.example.com", false],
  ["notlocalhost", false],
  ["127.0.0.1.example.com", false],
])("%s is loopback: %p", (host, expected) => {
  expect(isLoopback(host)).toBe(expected);
});

describe("a request", () => {
  test.each([
    "http://localhost:7070/health",
    "https://localhost/",
    "http://127.0.0.1:7070/",
    "http://127.1/",
    "http://[::1]:7070/",
    "http://[::ffff:127.0.0.1]/",
    "wss://a.localhost/",
  ])("to %s never takes a proxy", (url) => {
    for (const variable of [
      "HTTP_PROXY",
      "HTTPS_PROXY",
      "ALL_PROXY",
      "http_proxy",
      "https_proxy",
    ]) {
      expect(proxyFor(url, { [variable]: PROXY })).toBeUndefined();
    }
  });

  test.each([
    ["http://far.test/", "HTTP_PROXY", true],
    ["http://far.test/", "http_proxy", true],
    ["http://far.test/", "HTTPS_PROXY", false],
    ["https://far.test/", "HTTPS_PROXY", true],
    ["https://far.test/", "https_proxy", true],
    ["https://far.test/", "HTTP_PROXY", false],
    ["https://far.test/", "ALL_PROXY", true],
    ["http://far.test/", "all_proxy", true],
    ["ws://far.test/", "HTTP_PROXY", true],
    ["wss://far.test/", "HTTPS_PROXY", true],
  ])("to %s takes the proxy of %s: %p", (url, variable, expected) => {
    const proxy = proxyFor(url, { [variable]: PROXY });
    expect(proxy?.name).toBe(expected ? `proxy.test:3128 (${variable})` : undefined);
  });

  test("takes the variable in lower case before the other, and an empty one for none", () => {
    const both = { http_proxy: "http://lower:1", HTTP_PROXY: "http://upper:2" };
    expect(proxyFor("http://far.test/", both)?.url).toBe("http://lower:1/");
    expect(proxyFor("http://far.test/", { ...both, http_proxy: "" })?.url).toBe("http://upper:2/");
    expect(proxyFor("http://far.test/", { HTTP_PROXY: "" })).toBeUndefined();
  });

  test("names a proxy without its password, which the proxy is shown", () => {
    const proxy = proxyFor("http://far.test/", { HTTP_PROXY: "http://eva:s3cret@proxy.test:3128" });
    expect(proxy?.name).toBe("proxy.test:3128 (HTTP_PROXY)");
    expect(proxy?.url).toContain("eva:s3cret@");
    expect(proxyFor("http://far.test/", { HTTP_PROXY: "proxy.test:3128" })?.url).toBe(`${PROXY}/`);
  });

  test.each([
    ["socks5://proxy.test:1080", "HTTP_PROXY names a proxy of socks5"],
    ["http://", "HTTP_PROXY is no URL of a proxy"],
  ])("is refused where the proxy is %s", (proxy, reason) => {
    expect(() => proxyFor("http://far.test/", { HTTP_PROXY: proxy })).toThrow(reason);
  });
});

describe("NO_PROXY", () => {
  test.each([
    ["*", "http://far.test/", true],
    ["far.test", "http://far.test/", true],
    ["FAR.test", "http://far.TEST/", true],
    ["far.test.", "http://far.test/", true],
    ["far.test", "http://far.test./", true],
    ["far.test", "http://a.far.test/", true],
    [".far.test", "http://a.far.test/", true],
    [".far.test", "http://far.test/", true],
    ["*.far.test", "http://a.far.test/", true],
    ["far.test", "http://notfar.test/", false],
    ["other.test,far.test", "http://far.test/", true],
    ["other.test far.test", "http://far.test/", true],
    [" , ,", "http://far.test/", false],
    ["far.test:80", "http://far.test/", true],
    ["far.test:443", "https://far.test/", true],
    ["far.test:8080", "http://far.test/", false],
    ["far.test:8080", "http://far.test:8080/", true],
    ["192.0.2.7", "http://192.0.2.7/", true],
    ["192.0.2.7", "http://192.0.2.70/", false],
    ["192.0.2.0/24", "http://192.0.2.7:9090/", true],
    ["192.0.2.0/24", "http://192.0.3.7/", false],
    ["192.0.2.0/240", "http://192.0.2.7/", false],
    ["192.0.2.7:9090", "http://192.0.2.7:9090/", true],
    ["0.0.0.0/0", "http://192.0.2.7/", true],
    ["2001:db8::/32", "http://[2001:db8::7]/", true],
    ["2001:db8::7", "http://[2001:db8::7]/", true],
    ["[2001:db8::7]", "http://[2001:db8::7]/", true],
    ["[2001:db8::7]:81", "http://[2001:db8::7]:80/", false],
    ["2001:db9::/32", "http://[2001:db8::7]/", false],
    ["0.2.7", "http://192.0.2.7/", false],
  ])("%p excepts %s: %p", (exceptions, url, expected) => {
    const env = { ALL_PROXY: PROXY };
    expect(proxyFor(url, { ...env, NO_PROXY: exceptions }) === undefined).toBe(expected);
    expect(proxyFor(url, { ...env, no_proxy: exceptions }) === undefined).toBe(expected);
  });
});
