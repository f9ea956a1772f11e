// One Parquet file out of many: each part that DuckDB has written is a whole file, whose row groups are put behind those
// that are there, byte for byte; only the places in their metadata move. The footer comes last, so until then a journal
// beside the file, `<file>.open`, keeps what it will say: with it a file is completed whose recorder was killed.
// https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift

import {
  closeSync,
  constants,
  existsSync,
  fdatasyncSync,
  fstatSync,
  ftruncateSync,
  openSync,
  readFileSync,
  readSync,
  unlinkSync,
  writeSync,
} from "node:fs";
import { lockWhole } from "../../ffi/index.ts";
import {
  fieldOf,
  type List,
  readStruct,
  type Struct,
  TYPE,
  type Value,
  writeStruct,
} from "./thrift.ts";

const MAGIC = Buffer.from("PAR1");
/** Length of the footer and the magic number after it. */
const TAIL_BYTES = 8;
const JOURNAL_MAGIC = Buffer.from("microview.open 1\n");
/** {u32 length of what follows, u32 CRC-32 of it}, then {f64 length of the file, f64 rows, u32 row groups}. */
const FRAME_HEAD_BYTES = 8;
const FRAME_FIELDS_BYTES = 20;

/** Field numbers of parquet.thrift. */
const FILE_META = { schema: 2, rows: 3, rowGroups: 4 } as const;
const SCHEMA = { convertedType: 6, logicalType: 10 } as const;
const CONVERTED = { utf8: 0n, enum: 4n } as const;
const LOGICAL = { string: 1, enum: 4 } as const;
const ROW_GROUP = { columns: 1, rows: 3, fileOffset: 5, ordinal: 7 } as const;
const COLUMN = { fileOffset: 2, meta: 3, offsetIndex: 4, columnIndex: 6 } as const;
const COLUMN_META = { data: 9, index: 10, dictionary: 11, bloomFilter: 14 } as const;

/** What the system says when there is no more room. */
const FULL: ReadonlySet<string> = new Set(["ENOSPC", "EDQUOT"]);
const IN_USE = "it is being recorded by another process";

/** The file is no Parquet file, or cannot be completed. */
export class ParquetFileError extends Error {
  override readonly name = "ParquetFileError";
}

/** Where the journal of a file is. */
export function journalOf(path: string): string {
  return `${path}.open`;
}

/** What the footer will say. */
interface Contents {
  /** A footer without row groups. */
  template: Struct;
  /** Row groups as they are written, one after the other. */
  groups: Uint8Array[];
  groupCount: number;
  rows: number;
  /** Where the row groups end. */
  endOffset: number;
}

/** A file that grows by parts. */
export class ParquetFile {
  #contents: Contents | undefined;
  #offset = MAGIC.length;
  #journalOffset = JOURNAL_MAGIC.length;

  private constructor(
    readonly path: string,
    readonly fd: number,
    readonly journalFd: number,
  ) {}

  /**
   * @param replace whether a file may be there already
   * @throws the system's error, EEXIST when there is one; ParquetFileError when another process writes it
   */
  static create(path: string, replace: boolean): ParquetFile {
    const { O_RDWR, O_CREAT, O_EXCL, O_TRUNC, O_NOFOLLOW, O_NONBLOCK } = constants;
    const fd = openSync(path, O_RDWR | O_CREAT | O_NONBLOCK | (replace ? 0 : O_EXCL), 0o644);
    let journalFd: number | undefined;
    try {
      if (!fstatSync(fd).isFile()) throw new ParquetFileError("it is no plain file");
      // Only who has the lock may empty it.
      if (!lockWhole(fd)) throw new ParquetFileError(IN_USE);
      ftruncateSync(fd, 0);
      // Nobody has named it: where others may write too, a link of theirs is not followed.
      journalFd = openSync(journalOf(path), O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW, 0o644);
      writeAll(fd, MAGIC, 0);
      writeAll(journalFd, JOURNAL_MAGIC, 0);
      return new ParquetFile(path, fd, journalFd);
    } catch (error) {
      closeSync(fd);
      if (journalFd !== undefined) closeSync(journalFd);
      if (!replace) unlinkSync(path);
      throw error;
    }
  }

  /** Bytes of the file so far. */
  get bytes(): number {
    return this.#offset;
  }

  /**
   * Puts the row groups of a whole Parquet file behind those that are there. When it returns they outlive this process.
   * @throws the system's error, ENOSPC when the disk is full; what was appended before stays
   */
  append(part: Uint8Array): void {
    const { footer, dataEnd } = footerOf(part);
    const shift = this.#offset - MAGIC.length;
    const groups = ((fieldOf(footer, FILE_META.rowGroups) as List).items as Struct[]).filter(
      (group) => (fieldOf(group, ROW_GROUP.rows) as bigint) > 0n,
    );
    let rows = 0;
    for (const group of groups) {
      move(group, BigInt(shift));
      rows += Number(fieldOf(group, ROW_GROUP.rows) as bigint);
    }
    const encoded = Buffer.concat(groups.map(writeStruct));
    writeAll(this.fd, part.subarray(MAGIC.length, dataEnd), this.#offset);
    fdatasyncSync(this.fd);
    const endOffset = this.#offset + dataEnd - MAGIC.length;
    if (this.#contents === undefined) {
      for (const element of (fieldOf(footer, FILE_META.schema) as List).items) {
        sayText(element as Struct);
      }
      const template = footer.map((field) =>
        field.id === FILE_META.rowGroups
          ? { ...field, value: { type: TYPE.struct, items: [] } }
          : field,
      );
      this.#frame(0, 0, 0, writeStruct(template));
      this.#contents = { template, groups: [], groupCount: 0, rows: 0, endOffset: 0 };
    }
    this.#frame(endOffset, rows, groups.length, encoded);
    fdatasyncSync(this.journalFd);
    const contents = this.#contents;
    contents.groups.push(encoded);
    contents.groupCount += groups.length;
    contents.rows += rows;
    contents.endOffset = endOffset;
    this.#offset = endOffset;
  }

  /** Writes the footer and removes the journal; without any part, the file too. */
  close(): void {
    if (this.#contents === undefined) {
      closeSync(this.fd);
      closeSync(this.journalFd);
      unlinkSync(this.path);
      unlinkSync(journalOf(this.path));
      return;
    }
    this.#offset = complete(this.fd, this.journalFd, this.#contents);
    closeSync(this.fd);
    closeSync(this.journalFd);
    unlinkSync(journalOf(this.path));
  }

  /** Leaves file and journal as they are, to be completed later. */
  abandon(): void {
    closeSync(this.fd);
    closeSync(this.journalFd);
  }

  #frame(endOffset: number, rows: number, groups: number, payload: Uint8Array): void {
    const frame = Buffer.alloc(FRAME_HEAD_BYTES + FRAME_FIELDS_BYTES + payload.length);
    const body = frame.subarray(FRAME_HEAD_BYTES);
    body.writeDoubleLE(endOffset, 0);
    body.writeDoubleLE(rows, 8);
    body.writeUInt32LE(groups, 16);
    body.set(payload, FRAME_FIELDS_BYTES);
    frame.writeUInt32LE(body.length, 0);
    frame.writeUInt32LE(Bun.hash.crc32(body), 4);
    writeAll(this.journalFd, frame, this.#journalOffset);
    this.#journalOffset += frame.length;
  }
}

/** @throws ParquetFileError unless it is a plain file that begins and ends as a Parquet file does */
export function checkParquet(fd: number): void {
  const stat = fstatSync(fd);
  if (stat.isDirectory()) throw new ParquetFileError("it is a directory");
  if (!stat.isFile()) throw new ParquetFileError("it is no plain file");
  if (stat.size === 0) throw new ParquetFileError("it is empty");
  if (!isMagicAt(fd, 0)) throw new ParquetFileError("it is no Parquet file");
  if (stat.size < MAGIC.length + TAIL_BYTES || !isMagicAt(fd, stat.size - MAGIC.length)) {
    throw new ParquetFileError(
      "its end is missing: it was cut off, or the .open file beside it is gone",
    );
  }
}

function isMagicAt(fd: number, offset: number): boolean {
  const bytes = Buffer.alloc(MAGIC.length);
  return readSync(fd, bytes, 0, MAGIC.length, offset) === MAGIC.length && bytes.equals(MAGIC);
}

/** What became of a file that had a journal. */
interface Completed {
  rows: number;
  bytes: number;
}

/**
 * Completes a file whose recorder has ended without doing so, from the journal beside it.
 * @returns undefined when there is no journal: the file is complete already
 * @throws ParquetFileError when nothing was closed before the end, or the journal is of another file
 */
export function completeParquet(path: string): Completed | undefined {
  const journalPath = journalOf(path);
  if (!existsSync(journalPath)) return undefined;
  const fd = openSync(path, "r+");
  let journalFd: number | undefined;
  try {
    if (!lockWhole(fd)) throw new ParquetFileError(IN_USE);
    journalFd = openSync(journalPath, "r+");
    const contents = readJournal(readFileSync(journalFd));
    if (contents === undefined || contents.groupCount === 0) {
      throw new ParquetFileError("nothing had been closed when its recording was interrupted");
    }
    const { size } = fstatSync(fd);
    if (!(Number.isSafeInteger(contents.endOffset) && contents.endOffset >= MAGIC.length)) {
      throw new ParquetFileError(`${journalPath} is damaged`);
    }
    if (size < contents.endOffset) {
      throw new ParquetFileError(
        `it has ${size} bytes where ${journalPath} says ${contents.endOffset}: they do not belong together`,
      );
    }
    if (!isMagicAt(fd, 0)) throw new ParquetFileError("it is no Parquet file");
    const bytes = complete(fd, journalFd, contents);
    unlinkSync(journalPath);
    return { rows: contents.rows, bytes };
  } finally {
    closeSync(fd);
    if (journalFd !== undefined) closeSync(journalFd);
  }
}

/**
 * Writes the footer. Where the disk is full it takes the place of the journal, which is as long.
 * @returns the length of the file
 */
function complete(fd: number, journalFd: number, contents: Contents): number {
  try {
    return finish(fd, contents);
  } catch (error) {
    if (!FULL.has((error as NodeJS.ErrnoException).code ?? "")) throw error;
    ftruncateSync(fd, contents.endOffset);
    const journal = Buffer.alloc(fstatSync(journalFd).size);
    readSync(journalFd, journal, 0, journal.length, 0);
    ftruncateSync(journalFd, 0);
    try {
      return finish(fd, contents);
    } catch (again) {
      ftruncateSync(fd, contents.endOffset);
      writeAll(journalFd, journal, 0);
      throw again;
    }
  }
}

/** @returns undefined when not even the first frame is whole */
function readJournal(bytes: Buffer): Contents | undefined {
  if (!bytes.subarray(0, JOURNAL_MAGIC.length).equals(JOURNAL_MAGIC)) {
    throw new ParquetFileError("its journal is of another version of microview, or damaged");
  }
  let contents: Contents | undefined;
  for (let at = JOURNAL_MAGIC.length; at + FRAME_HEAD_BYTES <= bytes.length; ) {
    const length = bytes.readUInt32LE(at);
    const body = bytes.subarray(at + FRAME_HEAD_BYTES, at + FRAME_HEAD_BYTES + length);
    // The last one may have been cut off.
    if (body.length < Math.max(length, FRAME_FIELDS_BYTES)) break;
    if (Bun.hash.crc32(body) !== bytes.readUInt32LE(at + 4)) break;
    const payload = body.subarray(FRAME_FIELDS_BYTES);
    if (contents === undefined) {
      contents = {
        template: readStruct(payload),
        groups: [],
        groupCount: 0,
        rows: 0,
        endOffset: 0,
      };
    } else {
      contents.endOffset = body.readDoubleLE(0);
      contents.rows += body.readDoubleLE(8);
      contents.groupCount += body.readUInt32LE(16);
      contents.groups.push(payload);
    }
    at += FRAME_HEAD_BYTES + length;
  }
  return contents;
}

/** Writes the footer where the row groups end. @returns the length of the file */
function finish(fd: number, { template, groups, groupCount, rows, endOffset }: Contents): number {
  const footer = writeStruct(
    template.map((field): Struct[number] => {
      if (field.id === FILE_META.rows) return { ...field, value: BigInt(rows) };
      if (field.id !== FILE_META.rowGroups) return field;
      return { ...field, value: { count: groupCount, bytes: Buffer.concat(groups) } };
    }),
  );
  // What was begun behind it may have taken the last of the disk.
  ftruncateSync(fd, endOffset);
  const tail = Buffer.alloc(footer.length + TAIL_BYTES);
  tail.set(footer);
  tail.writeUInt32LE(footer.length, footer.length);
  tail.set(MAGIC, footer.length + 4);
  writeAll(fd, tail, endOffset);
  fdatasyncSync(fd);
  return endOffset + tail.length;
}

function footerOf(part: Uint8Array): { footer: Struct; dataEnd: number } {
  const tail = Buffer.from(part.buffer, part.byteOffset, part.length);
  const length = tail.readUInt32LE(part.length - TAIL_BYTES);
  const dataEnd = part.length - TAIL_BYTES - length;
  return { footer: readStruct(part.subarray(dataEnd, part.length - TAIL_BYTES)), dataEnd };
}

/** Text that has few values is an enumeration to DuckDB, which other readers take for bytes: it is called text. */
function sayText(element: Struct): void {
  for (const field of element) {
    if (field.id === SCHEMA.convertedType && field.value === CONVERTED.enum) {
      field.value = CONVERTED.utf8;
    } else if (field.id === SCHEMA.logicalType) {
      for (const kind of field.value as Struct)
        if (kind.id === LOGICAL.enum) kind.id = LOGICAL.string;
    }
  }
}

/** Moves what a row group says of its place. */
function move(group: Struct, shift: bigint): void {
  for (const field of group) {
    // A group's number, where it has one, would be that within its part.
    if (field.id === ROW_GROUP.ordinal) group.splice(group.indexOf(field), 1);
  }
  add(group, ROW_GROUP.fileOffset, shift);
  for (const column of (fieldOf(group, ROW_GROUP.columns) as List).items as Struct[]) {
    for (const id of [COLUMN.fileOffset, COLUMN.offsetIndex, COLUMN.columnIndex]) {
      add(column, id, shift);
    }
    const meta = fieldOf(column, COLUMN.meta) as Struct;
    for (const id of Object.values(COLUMN_META)) add(meta, id, shift);
  }
}

/** Zero says that there is none. */
function add(struct: Struct, id: number, shift: bigint): void {
  const field = struct.find((each) => each.id === id);
  const value: Value | undefined = field?.value;
  if (field !== undefined && value !== 0n) field.value = (value as bigint) + shift;
}

/** @throws the system's error; a disk that is full takes a part first, and then says so */
function writeAll(fd: number, bytes: Uint8Array, offset: number): void {
  for (let at = 0; at < bytes.length; ) {
    at += writeSync(fd, bytes, at, bytes.length - at, offset + at);
  }
}
