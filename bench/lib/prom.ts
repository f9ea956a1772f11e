// Scraping as Prometheus does it: GET /metrics over HTTP, then numbers by name out of the text.

import type { Scratch } from "./scratch.ts";

export interface PromServerOptions {
  /** One registry for each, at /metrics/0, /metrics/1, … */
  shapes: readonly { services: number; metrics: number }[];
}

export class PromServer {
  private constructor(
    readonly port: number,
    readonly pid: number,
  ) {}

  static async start(scratch: Scratch, options: PromServerOptions): Promise<PromServer> {
    const { child, offer } = await scratch.start<{ port: number }>("prom-server.ts", options);
    return new PromServer(offer.port, child.pid);
  }

  /**
   * One scrape of a registry.
   * @returns how many bytes of text came
   */
  async scrape(shape: number, into: Map<string, number>): Promise<number> {
    const response = await fetch(`http://127.0.0.1:${this.port}/metrics/${shape}`);
    const text = await response.text();
    if (!response.ok) throw new Error(`the prom-client process answers ${response.status}`);
    parseText(text, into);
    return text.length;
  }
}

/** Takes each sample of the text format into a map by its name with labels: the least that a scraper has to do. */
export function parseText(text: string, into: Map<string, number>): void {
  for (let at = 0; at < text.length; ) {
    let end = text.indexOf("\n", at);
    if (end < 0) end = text.length;
    if (end > at && text.charCodeAt(at) !== 35) {
      // A label's value may hold spaces, a number may not.
      const space = text.lastIndexOf(" ", end - 1);
      into.set(text.slice(at, space), Number(text.slice(space + 1, end)));
    }
    at = end + 1;
  }
}
