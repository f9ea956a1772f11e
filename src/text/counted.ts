// Numbers of things, in the singular where there is one.

/** `1 warning`, `2 warnings`; for what is no plain plural: `1 index`, `2 indices`. */
export function counted(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`;
}
