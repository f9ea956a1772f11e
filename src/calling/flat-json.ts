// JSON from somebody who may send anything: an agent that is none, or lies. What it costs follows from its length.

/** No answer of an agent is nested deeper. Each level costs a hundred bytes of memory, be it one byte long. */
const DEPTH_MAX = 16;

/**
 * Parses JSON that is not nested deeper than any answer of an agent.
 * @throws SyntaxError for what is no JSON, or deeper
 */
export function parseFlatJson(text: string): unknown {
  let depth = 0;
  let isText = false;
  for (let i = 0; i < text.length; i++) {
    const character = text[i];
    if (isText) {
      if (character === "\\") i++;
      else if (character === '"') isText = false;
    } else if (character === '"') {
      isText = true;
    } else if (character === "[" || character === "{") {
      if (++depth > DEPTH_MAX) {
        throw new SyntaxError(`JSON that is nested more than ${DEPTH_MAX} levels deep`);
      }
    } else if (character === "]" || character === "}") {
      depth--;
    }
  }
  return JSON.parse(text);
}
