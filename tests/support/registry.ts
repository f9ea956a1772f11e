// A package registry on loopback that offers what this project has installed, so that a test can install a package as
// users do, and without a network.

import { join } from "node:path";
import { ROOT } from "./host.ts";

const MODULES = join(ROOT, "node_modules");

/** Serves until it is disposed of. Its address is `url`. */
export function serveRegistry(): Bun.Server<undefined> {
  const server: Bun.Server<undefined> = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    async fetch(request): Promise<Response> {
      const path = decodeURIComponent(new URL(request.url).pathname).slice(1);
      const [name, isTarball] = path.endsWith(".tgz") ? [path.slice(0, -4), true] : [path, false];
      const manifest = Bun.file(join(MODULES, name, "package.json"));
      if (!(await manifest.exists())) return new Response("no such package", { status: 404 });
      if (isTarball) return new Response(tarball(name));
      const { version, ...rest } = await manifest.json();
      const dist = { tarball: `${server.url}${name}.tgz` };
      return Response.json({
        name,
        "dist-tags": { latest: version },
        versions: { [version]: { ...rest, version, dist } },
      });
    },
  });
  return server;
}

function tarball(name: string): Blob {
  const folder = join(MODULES, name);
  const { stdout, success } = Bun.spawnSync([
    ...["tar", "-C", folder, "--exclude=./node_modules", "--transform=s,^\\.,package,"],
    ...["--use-compress-program=gzip -1", "-c", "."],
  ]);
  if (!success) throw new Error(`${name} could not be packed`);
  return new Blob([stdout]);
}
