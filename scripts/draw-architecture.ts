// Draws the rooms of src/ and who imports whom into docs/architecture.md: `bun scripts/draw-architecture.ts`.
// tests/architecture.test.ts fails while the page shows anything else.

import { join } from "node:path";
import { type Arrow, arrowsAmong, importsOf, roomsInSrc } from "./imports.ts";
import { ROOT } from "./root.ts";

const PAGE = "docs/architecture.md";
const BEGIN = "<!-- Drawn by scripts/draw-architecture.ts; do not edit. -->";
const END = "<!-- End of the drawing. -->";

/** Each room, and the rooms that it imports. */
export type Rooms = ReadonlyMap<string, ReadonlySet<string>>;

/** @param names of all rooms, those included that import nothing */
export function roomsOf(
  names: Iterable<string>,
  arrows: readonly Pick<Arrow, "from" | "to">[],
): Rooms {
  const rooms = new Map([...new Set(names)].sort().map((name) => [name, new Set<string>()]));
  for (const { from, to } of arrows) rooms.get(from)!.add(to);
  return new Map([...rooms].map(([name, imported]) => [name, new Set([...imported].sort())]));
}

/**
 * Puts each room as low as it can be: above all that it imports.
 * @returns the layers, the lowest first
 * @throws Error that names the rooms of a circle
 */
export function layersOf(rooms: Rooms): string[][] {
  const heights = new Map<string, number>();
  const heightOf = (room: string, above: readonly string[]): number => {
    const known = heights.get(room);
    if (known !== undefined) return known;
    if (above.includes(room)) {
      const circle = [...above.slice(above.indexOf(room)), room];
      throw new Error(`these import each other in a circle: ${circle.join(" → ")}`);
    }
    const below = [...rooms.get(room)!].map((other) => heightOf(other, [...above, room]));
    const height = Math.max(-1, ...below) + 1;
    heights.set(room, height);
    return height;
  };
  const layers: string[][] = [];
  for (const room of rooms.keys()) {
    const height = heightOf(room, []);
    while (layers.length <= height) layers.push([]);
    layers[height]!.push(room);
  }
  return layers;
}

/** The rooms that a room imports and that no other room among them leads to. */
function nearest(rooms: Rooms, room: string): string[] {
  const reaches = (from: string, to: string): boolean =>
    from === to || [...rooms.get(from)!].some((next) => reaches(next, to));
  const imported = [...rooms.get(room)!];
  return imported.filter((to) => !imported.some((via) => via !== to && reaches(via, to)));
}

/** A Mermaid flowchart: a box for each layer, the highest first, so that all arrows go down. */
export function flowchart(rooms: Rooms): string {
  const idOf = (room: string) => room.replace(/\W/g, "_");
  const lines = ["flowchart TB"];
  for (const [height, layer] of [...layersOf(rooms).entries()].reverse()) {
    lines.push(`  subgraph layer${height}[" "]`);
    for (const room of layer) lines.push(`    ${idOf(room)}["${room}"]`);
    lines.push("  end");
  }
  for (const room of rooms.keys()) {
    for (const other of nearest(rooms, room)) lines.push(`  ${idOf(room)} --> ${idOf(other)}`);
  }
  return lines.join("\n");
}

/** The first sentence of the comment that a file opens with. */
export function purposeOf(source: string): string {
  const comment = /^(?:#!.*\n)?((?:\/\/ .*\n)+)/.exec(source)?.[1] ?? "";
  const text = comment.replace(/^\/\/ /gm, "").replaceAll("\n", " ");
  const sentence = /^.*?\.(?= )/.exec(text)?.[0];
  if (sentence === undefined)
    throw new Error("a file does not open with a sentence on its purpose");
  return sentence;
}

/** @param purposes of each room, in a sentence */
function table(rooms: Rooms, purposes: ReadonlyMap<string, string>): string {
  const rows = layersOf(rooms)
    .flat()
    .map((room) => {
      const imported = [...rooms.get(room)!].join(", ") || "–";
      const purpose = purposes.get(room)!.replaceAll("|", "\\|");
      return `| [${room}](../src/${room}) | ${purpose} | ${imported} |`;
    });
  return ["| room | what it is for | imports |", "|---|---|---|", ...rows].join("\n");
}

/** Replaces the drawing in a page. */
export function redrawn(page: string, drawing: string): string {
  const [before, rest, ...more] = page.split(BEGIN);
  const [, after, ...others] = (rest ?? "").split(END);
  if (after === undefined || more.length + others.length > 0) {
    throw new Error(`${PAGE} needs one line "${BEGIN}" and one "${END}"`);
  }
  return `${before}${BEGIN}\n\n${drawing}\n\n${END}${after}`;
}

/** The page as it is, and as it ought to be. */
export async function architecturePage(): Promise<{ is: string; ought: string }> {
  const imports = await importsOf("src");
  const rooms = roomsOf(roomsInSrc(), arrowsAmong(imports));
  const purposes = new Map<string, string>();
  for (const room of rooms.keys()) {
    const door = room.includes(".") ? room : `${room}/index.ts`;
    purposes.set(room, purposeOf(await Bun.file(join(ROOT, "src", door)).text()));
  }
  const is = await Bun.file(join(ROOT, PAGE)).text();
  const drawing = `\`\`\`mermaid\n${flowchart(rooms)}\n\`\`\`\n\n${table(rooms, purposes)}`;
  return { is, ought: redrawn(is, drawing) };
}

if (import.meta.main) {
  const { is, ought } = await architecturePage();
  if (is !== ought) {
    await Bun.write(join(ROOT, PAGE), ought);
    console.log(`wrote ${PAGE}`);
  }
}
