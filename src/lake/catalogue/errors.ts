// What the catalogue throws: errors that say what to do, in place of the database driver's, whose codes stay in here.

/** The catalogue cannot do what it was asked for; the cause is the driver's error. */
export class CatalogueError extends Error {
  override readonly name: string = "CatalogueError";
}

/** There is no room for what was to be written: nothing of it is. */
export class CatalogueFullError extends CatalogueError {
  override readonly name = "CatalogueFullError";
  readonly hint = "make room on the disk of the lake's folder";
}

/** Another process has locked the catalogue for too long. */
export class CatalogueBusyError extends CatalogueError {
  override readonly name = "CatalogueBusyError";
  readonly hint = "end the other program that has the file open";
}

/** The file is damaged, or is none of a catalogue. */
export class CatalogueDamagedError extends CatalogueError {
  override readonly name = "CatalogueDamagedError";
  readonly hint = "restore the lake's folder from a backup, or name another folder";
}

/** Somebody else has changed what a transaction relied on: nothing was written. Read again, and decide again. */
export class CatalogueConflictError extends CatalogueError {
  override readonly name = "CatalogueConflictError";
}

/** A segment contradicts what is known of a stream: nothing of it was written. */
export class IdentityError extends CatalogueError {
  override readonly name = "IdentityError";
}

/** A catalogue that this microview cannot use. */
export class CatalogueVersionError extends CatalogueError {
  override readonly name = "CatalogueVersionError";
  readonly hint = "start the microview that wrote it, or a newer one, or name another folder";

  constructor(version: number, known: number) {
    super(
      `the catalogue has schema version ${version}, and this microview knows versions up to ${known}`,
    );
  }
}

/** By the beginning of SQLite's code: some have longer ones, such as SQLITE_BUSY_SNAPSHOT. */
const BY_CODE = [
  ["SQLITE_FULL", CatalogueFullError, "the disk of the catalogue is full"],
  ["SQLITE_BUSY", CatalogueBusyError, "another process has locked the catalogue"],
  ["SQLITE_LOCKED", CatalogueBusyError, "another process has locked the catalogue"],
  ["SQLITE_NOTADB", CatalogueDamagedError, "the catalogue's file is no database"],
  ["SQLITE_CORRUPT", CatalogueDamagedError, "the catalogue's file is damaged"],
  ["SQLITE_", CatalogueError, "the catalogue cannot be used"],
] as const;

/** The catalogue's error for one of the driver; others stay as they are. */
export function catalogueError(error: unknown): unknown {
  if (!(error instanceof Error)) return error;
  const { code } = error as { code?: unknown };
  if (typeof code !== "string") return error;
  const found = BY_CODE.find(([start]) => code.startsWith(start));
  if (found === undefined) return error;
  const [, Kind, what] = found;
  return new Kind(`${what}: ${error.message}`, { cause: error });
}
