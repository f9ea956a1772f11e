// Levels of pino, which are numbers that grow with what is worse, as those of the ring, which are six words.

import { LEVELS } from "../layout/index.ts";

/** From which number on, the worst first, as LEVELS has them. */
const FROM = [60, 50, 40, 30, 20] as const;
const COMMA = 0x2c;
const ZERO = 0x30;
const INFO = LEVELS.indexOf("info");

/** The level that is recorded for one of pino's, or of a service's own: the nearest that is not worse. */
export function levelOf(value: number): number {
  for (let i = 0; i < FROM.length; i++) if (value >= FROM[i]!) return i;
  return LEVELS.length - 1;
}

/** The level that a line names, as a number or as a word; most are `{"level":30,…`. */
export function levelNamed(line: string): number {
  if (line.charCodeAt(11) === COMMA) {
    const value = (line.charCodeAt(9) - ZERO) * 10 + line.charCodeAt(10) - ZERO;
    if (value >= 10 && value < 100) return levelOf(value);
  }
  const [, number, word] = /^\{"level":(?:(\d+)|"([a-zA-Z]+)")/.exec(line) ?? [];
  if (number !== undefined) return levelOf(Number(number));
  const index = LEVELS.indexOf(word?.toLowerCase() as (typeof LEVELS)[number]);
  return index < 0 ? INFO : index;
}
