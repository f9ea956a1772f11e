// How this program is started again as the process of a query: the binary itself, or bun with its source.

export function selfCommand(): string[] {
  const isCompiled = import.meta.url.includes("/$bunfs/");
  const main = new URL("../../cli.ts", import.meta.url).pathname;
  return [process.execPath, ...(isCompiled ? [] : [main]), "query-process"];
}
