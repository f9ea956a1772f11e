// Where a call of the REST contract goes. Used by whoever calls an agent.

/**
 * @param call as the contract names it, e.g. "GET /v1/apps/:app"
 * @param values what stands in the path, by the names there
 */
export function requestLine(
  call: string,
  values: Readonly<Record<string, string | number>>,
): { method: string; path: string } {
  const [method = "", pattern = ""] = call.split(" ");
  const path = pattern.replace(/:(\w+)/g, (_, name: string) => {
    const value = values[name];
    if (value === undefined) throw new TypeError(`no ${name} is given for the path of ${call}`);
    return encodeURIComponent(value);
  });
  return { method, path };
}
