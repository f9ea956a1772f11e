// The layout of a pool with offsets and bytes, as lines.

import { hexOffset, type RawField, type RawPage, type RawRecord } from "../../inspector/index.ts";
import { counted, formatCount, printableLines, type Style } from "../../text/index.ts";

const HEX_SHOWN = 32;

export function fieldLines(title: string, fields: readonly RawField[], style: Style): string[] {
  return [
    style.bold(`  ${title}`),
    ...fields.map(({ offset, name, hex, value }) => {
      const bytes = hex.length > HEX_SHOWN ? `${hex.slice(0, HEX_SHOWN)}…` : hex;
      return `    ${style.dim(hexOffset(offset))}  ${bytes.padEnd(18)}  ${name.padEnd(17)}  ${printableLines(value)}`;
    }),
  ];
}

export function recordLine(record: RawRecord, style: Style): string {
  const { offset, type, lengthBytes, checksum, text } = record;
  const crc = checksum === "ok" ? style.green("crc ok   ") : style.red("crc wrong");
  return `    ${style.dim(hexOffset(offset))}  ${type.padEnd(8)}  ${String(lengthBytes).padStart(5)} bytes  ${crc}  ${printableLines(text)}`;
}

export function pageLines(page: RawPage, style: Style): string[] {
  const { page: number, offset, header, owners, slots, zeroSlots } = page;
  const fields = header.map(({ name, value }) => `${name} ${value}`).join(", ");
  return [
    style.bold(`  page ${number} at ${hexOffset(offset)}`),
    `    ${fields}`,
    ...owners.map((owner) => `    held by ${printableLines(owner)}`),
    ...slots.map(({ offset: at, slot, hex, value, text }) => {
      const shown = Number.isNaN(value) ? "NaN" : formatCount(value);
      return `    ${style.dim(hexOffset(at))}  slot ${String(slot).padStart(3)}  ${hex}  ${shown.padStart(12)}  ${printableLines(text)}`;
    }),
    ...(zeroSlots > 0
      ? [
          style.dim(
            `    and ${counted(zeroSlots, "slot of histograms that holds", "slots of histograms that hold")} 0`,
          ),
        ]
      : []),
  ];
}
