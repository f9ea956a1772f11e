// A package registry on loopback that offers what this project has installed, so that a test can install a package as
// users do, and without a network.

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { ROOT } from "./host.ts";

const MODULES = join(ROOT, "node_modules");

/** Serves until it is disposed of. Its address is `url`. */
export function serveRegistry(): Bun.Server<undefined> {
  const all = installedIn(MODULES);
  const server: Bun.Server<undefined> = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch(request): Response {
      const path = decodeURIComponent(new URL(request.url).pathname).slice(1);
      const [name, file] = path.split("/-/") as [string, string | undefined];
      const installed = all.get(name) ?? [];
      const newest = installed[0];
      if (newest === undefined) return new Response("no such package", { status: 404 });
      if (file !== undefined) {
        const { folder } = installed.find(({ version }) => file === `${version}.tgz`) ?? newest;
        return new Response(tarball(folder));
      }
      const versions = installed.map(({ version, manifest }) => {
        const dist = { tarball: `${server.url}${name}/-/${version}.tgz` };
        return [version, { ...manifest, dist }] as const;
      });
      return Response.json({
        name,
        "dist-tags": { latest: newest.version },
        versions: Object.fromEntries(versions),
      });
    },
  });
  return server;
}

interface Installed {
  folder: string;
  version: string;
  manifest: object;
}

/** Packages by their names, each in all of its versions: two that need it may want different ones. */
function installedIn(modules: string, found = new Map<string, Installed[]>()) {
  const below: string[] = [];
  for (const entry of readdirSync(modules)) {
    const names = entry.startsWith("@")
      ? readdirSync(join(modules, entry)).map((name) => `${entry}/${name}`)
      : [entry];
    for (const name of names) {
      const folder = join(modules, name);
      const path = join(folder, "package.json");
      if (!existsSync(path)) continue;
      const manifest = JSON.parse(readFileSync(path, "utf8")) as { version: string };
      const { version } = manifest;
      const others = found.get(name) ?? [];
      if (!others.some((other) => other.version === version)) {
        found.set(name, [...others, { folder, version, manifest }]);
      }
      below.push(join(folder, "node_modules"));
    }
  }
  // Afterwards: the version that is not below another package is the latest.
  for (const nested of below) if (existsSync(nested)) installedIn(nested, found);
  return found;
}

function tarball(folder: string): Blob {
  const { stdout, success } = Bun.spawnSync([
    ...["tar", "-C", folder, "--exclude=./node_modules", "--transform=s,^\\.,package,"],
    ...["--use-compress-program=gzip -1", "-c", "."],
  ]);
  if (!success) throw new Error(`${folder} could not be packed`);
  return new Blob([stdout]);
}
