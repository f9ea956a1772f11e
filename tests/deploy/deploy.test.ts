// What lies in deploy/: that it is what its readers (systemd, Prometheus, Grafana, Helm, Kubernetes) take, that it fits
// the program, and that its parts fit each other. A reader that is not on this machine is left out.

import { describe, expect, test } from "bun:test";
import {
  cpSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Subcommand } from "../../src/command-line/subcommand.ts";
import agentCommand from "../../src/commands/agent.ts";
import collectCommand from "../../src/commands/collect.ts";
import lakeCommand from "../../src/commands/lake.ts";
import { ROOT, TestHost } from "../support/host.ts";
import { until } from "../support/wait.ts";

const DEPLOY = join(ROOT, "deploy");
const CHART = join(DEPLOY, "helm/microview");

function read(path: string): string {
  return readFileSync(join(DEPLOY, path), "utf8");
}

/** All files of a folder whose name ends so, relative to deploy/. */
function files(glob: string): string[] {
  return [...new Bun.Glob(glob).scanSync(DEPLOY)].sort();
}

function run(command: string, ...args: string[]): { exitCode: number; output: string } {
  const child = Bun.spawnSync([command, ...args], { cwd: DEPLOY, stderr: "pipe" });
  return { exitCode: child.exitCode, output: `${child.stdout}${child.stderr}` };
}

function lacks(program: string): boolean {
  return Bun.which(program) === null;
}

// biome-ignore lint/suspicious/noExplicitAny: a YAML file may hold anything
type Document = any;

/** The documents of a YAML file. */
function parseYaml(text: string): Document[] {
  const parsed = Bun.YAML.parse(text);
  return (Array.isArray(parsed) ? parsed : [parsed]).filter((each) => each !== null);
}

/** The flags of a subcommand as they are typed. */
function flagsOf({ details }: Subcommand): string[] {
  return Object.keys(details.flags).map(
    (name) => `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`,
  );
}

describe("deploy/", () => {
  test("gives the collector no flag that it does not know", () => {
    const unit = read("systemd/microview-collect@.service");
    expect(unit).toContain("ExecStart=/usr/bin/microview collect $MICROVIEW_COLLECT_FLAGS");
    const page = readFileSync(join(ROOT, "docs/deploy.md"), "utf8");
    const texts = [
      unit,
      ...page.split("\n").filter((line) => /^MICROVIEW_COLLECT_FLAGS=/.test(line)),
    ];
    const named = texts.flatMap((text) =>
      [...text.matchAll(/--[a-z][\w-]+/g)].map(([flag]) => flag),
    );
    expect(named.length).toBeGreaterThan(3);
    expect(named.filter((flag) => !flagsOf(collectCommand).includes(flag))).toEqual([]);
  });

  test("gives the agent no flag that it does not know", () => {
    const unknown: string[] = [];
    const args = [
      ...[...read("systemd/microview-agent.service").matchAll(/(?<=ExecStart=.*)--[\w-]+/g)],
      ...[...read("docker/Dockerfile").matchAll(/(?<=CMD \["agent".*)--[\w-]+/g)],
      ...[...read("helm/microview/templates/daemonset.yaml").matchAll(/(?<=^ +- )--[\w-]+/gm)],
      ...files("kubernetes/agent*.yaml").flatMap((path) => [
        ...read(path).matchAll(/(?<=^ +- )--[\w-]+/gm),
      ]),
    ].map(([flag]) => flag);
    const { command } = parseYaml(read("docker/compose.yaml"))[0].services.agent;
    args.push(...command.filter((word: string) => word.startsWith("--")));
    for (const flag of args) if (!flagsOf(agentCommand).includes(flag)) unknown.push(flag);
    expect(unknown).toEqual([]);
    expect(args.length).toBeGreaterThan(15);
  });

  test("gives the lake no flag that it does not know", () => {
    const page = readFileSync(join(ROOT, "docs/deploy.md"), "utf8");
    const texts = [
      read("systemd/microview-lake.service"),
      ...page.split("\n").filter((line) => /^MICROVIEW_LAKE_FLAGS=/.test(line)),
    ];
    const named = texts.flatMap((text) =>
      [...text.matchAll(/--[a-z][\w-]+/g)].map(([flag]) => flag),
    );
    expect(named.length).toBeGreaterThan(5);
    expect(named.filter((flag) => !flagsOf(lakeCommand).includes(flag))).toEqual([]);
  });

  test("speaks of no metric that there is not", () => {
    const sources = [...new Bun.Glob("src/**/*.ts").scanSync(ROOT)]
      .map((path) => readFileSync(join(ROOT, path), "utf8"))
      .join("\n");
    const processes = [...sources.matchAll(/define\(\s*"(?:counter|gauge)",\s*"(\w+)"/g)].map(
      ([, name]) => `microview_process${name}`,
    );
    const http = ["server", "client"].flatMap((side) =>
      [...sources.matchAll(/\$\{prefix\}(_requests?_\w+)/g)].map(
        ([, name]) => `http_${side}${name}`,
      ),
    );
    const lake = [...sources.matchAll(/\bfamily\(\s*(?:\.\.\.\(\[\s*)?"(\w+)"/g)].map(
      ([, name]) => `microview_lake_${name}`,
    );
    const known = new Set([
      ...lake,
      ...[...sources.matchAll(/"(microview_\w+)"/g)].map(([, name]) => name!),
      ...processes,
      ...http,
    ]);
    const texts = [read("prometheus/rules.yml"), read("grafana/microview.json")];
    const named = texts.flatMap((text) => [
      ...text.matchAll(
        /\b((?:microview_(?:agent|collect|process|lake)\w*|http_(?:server|client)_\w+?)(?:_bucket)?)(?=[{[ )]|\b:)/g,
      ),
    ]);
    const names = new Set(named.map(([, name]) => name!.replace(/_bucket$/, "")));
    names.delete("http_server_requests:rate5m");
    const recorded = ["http_server_requests", "http_server_request_errors"];
    expect([...names].filter((name) => !known.has(name) && !recorded.includes(name))).toEqual([]);
    expect(names.size).toBeGreaterThan(25);
  });
});

describe.each([
  ["microview-agent.service", "microview-agent.service"],
  ["microview-collect@.service", "microview-collect@edge.service"],
  ["microview-lake.service", "microview-lake.service"],
])("the unit %s", (file, instance) => {
  const dropInFolder = join(DEPLOY, "systemd", `${file}.d`);
  const dropIns = existsSync(dropInFolder) ? readdirSync(dropInFolder) : [];

  /** The unit with its drop-ins, whose program is one that is there. */
  function installed(...names: string[]): { unit: string; folder: string } {
    const folder = mkdtempSync(join(tmpdir(), "microview-unit-"));
    const text = read(`systemd/${file}`).replace(
      "ExecStart=/usr/bin/microview",
      "ExecStart=/bin/true",
    );
    writeFileSync(join(folder, file), text);
    writeFileSync(join(folder, instance), text);
    for (const name of names) cpSync(join(dropInFolder, name), join(folder, `${file}.d`, name));
    return { unit: join(folder, instance), folder };
  }

  test.skipIf(lacks("systemd-analyze")).each([[[]], [dropIns]])(
    "is taken by systemd, with the drop-ins %p",
    (names) => {
      const { unit, folder } = installed(...names);
      const { exitCode, output } = run("systemd-analyze", "verify", unit);
      rmSync(folder, { recursive: true });
      expect({
        exitCode,
        output: output.replaceAll(/^.*(?:man |Failed to prepare|SO_PASSCRED).*\n/gm, ""),
      }).toEqual({
        exitCode: 0,
        output: "",
      });
    },
  );

  test.skipIf(lacks("systemd-analyze"))("leaves little open", () => {
    const { unit, folder } = installed();
    const security = run("systemd-analyze", "security", "--offline=true", "--threshold=25", unit);
    rmSync(folder, { recursive: true });
    expect(security.output).toContain("Overall exposure level");
    expect(security.exitCode).toBe(0);
  });
});

describe("the image", () => {
  const stages = read("docker/Dockerfile")
    .split(/^FROM /m)
    .slice(1);

  test("ends with a stage that is not root's and has what it names", () => {
    const last = stages.at(-1)!;
    expect(last).toContain("USER 7070:7070");
    expect(last).toContain("--from=build /src/dist/microview");
    for (const [, source] of last.matchAll(/^COPY (deploy\/\S+)/gm)) {
      expect(Bun.file(join(ROOT, source!)).size).toBeGreaterThan(0);
    }
  });

  test("is healthy when its agent answers, with a token and without", async () => {
    await using host = new TestHost();
    const healthy = (port: number) => run("docker/microview-healthy", String(port)).exitCode;
    const open = await host.agentProcess();
    expect(healthy(open.port)).toBe(0);
    await open.end("SIGTERM");
    expect(healthy(open.port)).not.toBe(0);
    const tokens = join(host.folder, "tokens");
    writeFileSync(tokens, "a-token-of-some-length\n");
    const closed = await host.agentProcess("--token-file", tokens);
    expect(healthy(closed.port)).toBe(0);
  });

  test("has an example that an agent counts", async () => {
    await using host = new TestHost();
    await host.agent();
    const free = Bun.serve({ port: 0, hostname: "127.0.0.1", fetch: () => new Response() });
    const { port } = free;
    await free.stop(true);
    const child = host.own(
      Bun.spawn([process.execPath, "deploy/docker/example.ts"], {
        cwd: ROOT,
        env: { ...process.env, MICROVIEW_SOCKET: host.socketPath, PORT: String(port) },
        stdout: "ignore",
      }),
    );
    const url = `http://127.0.0.1:${port}/hello/you`;
    await until("it answers", async () => (await (await fetch(url)).text()) === "hello, you");
    await host.shows(1, "http_server_requests_total", {
      service: "hello",
      labels: { method: "GET", route: "/hello/:name", status: "2xx" },
    });
    child.kill("SIGTERM");
    expect(await child.exited).toBe(0);
  });
});

describe("the compose file", () => {
  const compose = parseYaml(read("docker/compose.yaml"))[0];

  test("shares the agent's volumes and its group with the service, and nothing else", () => {
    const { agent, service } = compose.services;
    expect(service.volumes).toEqual(agent.volumes);
    expect(service.group_add).toEqual(["7070"]);
    expect(Object.keys(compose.volumes)).toEqual(["pools", "run"]);
    for (const each of [agent, service]) {
      expect(each).toMatchObject({
        read_only: true,
        cap_drop: ["ALL"],
        security_opt: ["no-new-privileges:true"],
      });
      expect(
        Bun.file(join(DEPLOY, "docker", each.build.context, each.build.dockerfile)).size,
      ).toBeGreaterThan(0);
    }
    expect(Object.keys(compose.secrets)).toEqual(agent.secrets);
  });
});

describe("the manifests of Kubernetes", () => {
  test("run the agent without root, with probes, limits and nothing of the cluster", () => {
    const documents = parseYaml(read("kubernetes/agent.yaml"));
    expect(documents.map(({ kind }) => kind)).toEqual([
      "Namespace",
      "ServiceAccount",
      "Service",
      "DaemonSet",
    ]);
    const [, account, service, set] = documents;
    expect(account.automountServiceAccountToken).toBeFalse();
    const { template, selector } = set.spec;
    expect(template.metadata.labels).toMatchObject(selector.matchLabels);
    expect(service.spec.selector).toEqual(selector.matchLabels);
    const { containers, volumes } = template.spec;
    const [agent] = containers;
    expect(agent.securityContext).toEqual({
      runAsNonRoot: true,
      runAsUser: 7070,
      runAsGroup: 7070,
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ["ALL"] },
    });
    for (const probe of ["startupProbe", "readinessProbe", "livenessProbe"]) {
      expect(agent[probe].exec.command[0]).toBe("microview-healthy");
    }
    const mounted = agent.volumeMounts.map(({ name }: Document) => name);
    expect(volumes.map(({ name }: Document) => name)).toEqual(mounted);
    expect(agent.resources.limits.memory).toBeString();
  });

  test("give a service its application's folder alone, where the agent has it", () => {
    const agent = parseYaml(read("kubernetes/agent.yaml")).at(-1)!.spec.template.spec;
    const [deployment] = parseYaml(read("kubernetes/example.yaml"));
    const service = deployment.spec.template.spec;
    const path = (spec: Document, name: string) =>
      spec.volumes.find((volume: Document) => volume.name === name).hostPath.path;
    expect(path(service, "pool")).toBe(`${path(agent, "pools")}/shop`);
    expect(path(service, "run")).toBe(path(agent, "run"));
    expect(agent.initContainers[0].args).toContain("/pools/shop");
    expect(service.securityContext.supplementalGroups).toEqual([
      agent.containers[0].securityContext.runAsGroup,
    ]);
    expect(service.containers[0].volumeMounts).toContainEqual({
      name: "pool",
      mountPath: "/pools/shop",
    });
  });

  test("ask the cluster for the pods of a node where names are wanted, and may do nothing else", () => {
    const documents = parseYaml(read("kubernetes/agent-with-names.yaml"));
    const of = (kind: string) => documents.find((each) => each.kind === kind);
    const { rules } = of("ClusterRole");
    expect(rules).toEqual([{ apiGroups: [""], resources: ["pods"], verbs: ["list", "watch"] }]);
    const { roleRef, subjects } = of("ClusterRoleBinding");
    expect(roleRef).toMatchObject({ kind: "ClusterRole", name: of("ClusterRole").metadata.name });
    const account = of("ServiceAccount");
    const { name, namespace } = account.metadata;
    expect(subjects).toEqual([{ kind: "ServiceAccount", name, namespace }]);
    expect(account.automountServiceAccountToken).toBeFalse();
    const { initContainers, containers, volumes, ...spec } = of("DaemonSet").spec.template.spec;
    expect(spec).toMatchObject({ automountServiceAccountToken: false, serviceAccountName: name });
    const [agent] = containers;
    expect(agent.args).toContain("--kubernetes=auto");
    expect(agent.env).toEqual([
      { name: "NODE_NAME", valueFrom: { fieldRef: { fieldPath: "spec.nodeName" } } },
    ]);
    const mounts = (container: Document) =>
      container.volumeMounts.filter(({ name }: Document) => name === "cluster");
    // Where the agent looks for it, and only there.
    expect(mounts(agent)).toEqual([
      {
        name: "cluster",
        mountPath: "/var/run/secrets/kubernetes.io/serviceaccount",
        readOnly: true,
      },
    ]);
    expect(mounts(initContainers[0])).toEqual([]);
    const { projected } = volumes.find(({ name }: Document) => name === "cluster");
    expect(projected.sources[0].serviceAccountToken).toEqual({
      path: "token",
      expirationSeconds: 3600,
    });
    expect(projected.sources[1].configMap.items).toEqual([{ key: "ca.crt", path: "ca.crt" }]);
  });

  test("ask the cluster for nothing otherwise", () => {
    const text = read("kubernetes/agent.yaml");
    expect(text).toContain("--kubernetes=off");
    expect(text).not.toMatch(/ClusterRole|serviceAccountToken:|NODE_NAME/);
  });

  test.skipIf(lacks("kubectl-validate"))("keep to the schemas of Kubernetes", () => {
    const { exitCode, output } = run("kubectl-validate", "kubernetes", "--version", "1.30");
    expect({ exitCode, output: exitCode === 0 ? "" : output }).toEqual({ exitCode: 0, output: "" });
  });
});

describe("the chart", () => {
  const values = parseYaml(read("helm/microview/values.yaml"))[0];
  const schema = JSON.parse(read("helm/microview/values.schema.json"));
  const template = (...more: string[]) =>
    run(
      "helm",
      "template",
      "microview",
      CHART,
      "--namespace",
      "microview",
      "--kube-version",
      "1.30",
      ...more,
    );

  test("has a type for each of its values, and uses each of them", () => {
    const templates = files("helm/microview/templates/*").map(read).join("\n");
    const check = (value: Document, itsSchema: Document, path: string[]): void => {
      for (const [key, each] of Object.entries(value)) {
        const within = [...path, key];
        const its = itsSchema.properties?.[key];
        expect({ path: within, known: its !== undefined }).toEqual({ path: within, known: true });
        if (its.properties !== undefined) check(each, its, within);
        else expect(templates).toContain(`.Values.${within.join(".")}`);
      }
    };
    check(values, schema, []);
  });

  test("is of the program's version, and matches its other files", async () => {
    const { version } = await Bun.file(join(ROOT, "package.json")).json();
    const [chart] = parseYaml(read("helm/microview/Chart.yaml"));
    expect(chart.appVersion).toBe(version);
    expect(values.port).toBe(7070);
  });

  test.skipIf(lacks("helm"))("is taken by Helm, and gives the manifests beside it", () => {
    expect(run("helm", "lint", "--strict", CHART)).toMatchObject({ exitCode: 0 });
    const { exitCode, output } = template();
    expect(exitCode).toBe(0);
    const kinds = (documents: Document[]) => documents.filter(({ kind }) => kind !== "Namespace");
    expect(kinds(parseYaml(read("kubernetes/agent.yaml")))).toEqual(parseYaml(output));
    const names = template(
      ...["--set", "processMetrics.enabled=true", "--set", "kubernetes.names.enabled=true"],
    );
    expect(kinds(parseYaml(read("kubernetes/agent-with-names.yaml")))).toEqual(
      parseYaml(names.output),
    );
  });

  test.skipIf(lacks("helm"))("refuses what cannot work, and says why", () => {
    expect(template("--set", "token.existingSecret=").output).toContain("insecure: true");
    expect(template("--set", "kubernetes.names.enabled=true").output).toContain("enable both");
    expect(template("--set", "port=0").output).toContain("port");
    expect(template("--set", "apps={a/b}").exitCode).not.toBe(0);
    expect(template("--set", "sockt=x").exitCode).not.toBe(0);
  });

  test.skipIf(lacks("helm"))(
    "pushes where that is asked for, with headers that are in no command line",
    () => {
      const push = ["--set", "otlp.endpoint=https://otlp.example:4318"];
      const specOf = (...more: string[]) => {
        const documents = parseYaml(template(...push, ...more).output);
        return documents.find(({ kind }) => kind === "DaemonSet").spec.template.spec;
      };
      const [plain] = specOf().containers;
      expect(plain.args).toContain("--otlp=https://otlp.example:4318");
      expect(plain.args).toContain("--otlp-interval=1s");
      expect(plain.args.join(" ")).not.toContain("--otlp-header-file");
      expect(plain.env[0].name).toBe("NODE_NAME");
      const { containers, volumes } = specOf("--set", "otlp.headersSecret=otlp");
      expect(containers[0].args).toContain("--otlp-header-file=/etc/microview-otlp/headers");
      const mount = { name: "otlp", mountPath: "/etc/microview-otlp", readOnly: true };
      expect(containers[0].volumeMounts).toContainEqual(mount);
      expect(volumes.find(({ name }: Document) => name === "otlp").secret.secretName).toBe("otlp");
      expect(template("--set", "otlp.endpoint=https://me:secret@otlp").exitCode).not.toBe(0);
      expect(template("--set", "otlp.endpoint=localhost:4318").exitCode).not.toBe(0);
    },
  );

  test.skipIf(lacks("helm"))(
    "shows certificates, and asks for them, from a secret that is renewed",
    () => {
      const tls = ["--set", "tls.existingSecret=agent-tls"];
      const monitored = ["--set", "podMonitor.enabled=true"];
      const of = (...more: string[]) => {
        const documents = parseYaml(template(...tls, ...more).output);
        return (kind: string) => documents.find((each) => each.kind === kind);
      };
      const { containers, volumes } = of()("DaemonSet").spec.template.spec;
      const [{ args, volumeMounts, livenessProbe }] = containers;
      expect(args).toContain("--tls-cert=/etc/microview-tls/tls.crt");
      expect(args).toContain("--tls-key=/etc/microview-tls/tls.key");
      expect(args.join(" ")).not.toContain("--tls-client-ca");
      // Through a subPath it would never change.
      const mount = { name: "tls", mountPath: "/etc/microview-tls", readOnly: true };
      expect(volumeMounts).toContainEqual(mount);
      expect(volumes.find(({ name }: Document) => name === "tls").secret.secretName).toBe(
        "agent-tls",
      );
      expect(livenessProbe.tcpSocket).toEqual({ port: "http" });
      expect(livenessProbe.exec).toBeUndefined();
      const asking = of("--set", "tls.clientCaKey=ca.crt")("DaemonSet").spec.template.spec;
      expect(asking.containers[0].args).toContain("--tls-client-ca=/etc/microview-tls/ca.crt");
      const monitor = of(
        ...monitored,
        "--set",
        "podMonitor.tlsConfig.serverName=agent",
      )("PodMonitor");
      const [endpoint] = monitor.spec.podMetricsEndpoints;
      expect([endpoint.scheme, endpoint.tlsConfig]).toEqual(["https", { serverName: "agent" }]);
    },
  );

  test.skipIf(lacks("helm"))("gives rights only with what needs them", () => {
    const agentOf = (...more: string[]) => {
      const documents = parseYaml(template(...more).output);
      return documents.find(({ kind }) => kind === "DaemonSet").spec.template.spec;
    };
    expect(agentOf().hostPID).toBeUndefined();
    const sampling = agentOf("--set", "processMetrics.enabled=true");
    expect(sampling.hostPID).toBeTrue();
    expect(sampling.containers[0].securityContext.capabilities.add).toContain("SYS_PTRACE");
    expect(sampling.containers[0].args).toContain("--process-metrics=5s");
    const rdma = agentOf("--set", "rdma.enabled=true", "--set-string", "rdma.resources.rdma/hca=1");
    expect(rdma.containers[0].securityContext.capabilities.add).toEqual(["IPC_LOCK"]);
    expect(rdma.containers[0].resources.limits).toMatchObject({ "rdma/hca": "1" });
  });
});

describe("the rules of Prometheus", () => {
  test("are whole: each alert has a severity and says what is the matter", () => {
    const [{ groups }] = parseYaml(read("prometheus/rules.yml"));
    for (const { rules } of groups) {
      for (const rule of rules) {
        if (rule.alert === undefined) continue;
        expect(["info", "warning", "critical"]).toContain(rule.labels.severity);
        expect(rule.annotations.summary).toBeString();
      }
    }
  });

  test.skipIf(lacks("promtool"))("are taken by Prometheus, and fire when they should", () => {
    const checks = [
      ["check", "rules", "prometheus/rules.yml"],
      ["test", "rules", "prometheus/rules.test.yml"],
      ["check", "config", "--syntax-only", "prometheus/prometheus.yml"],
    ];
    for (const args of checks) {
      const { exitCode, output } = run("promtool", ...args);
      expect({ args, exitCode, output: exitCode === 0 ? "" : output }).toEqual({
        args,
        exitCode: 0,
        output: "",
      });
    }
  });
});

describe("the dashboard of Grafana", () => {
  const dashboard = JSON.parse(read("grafana/microview.json"));
  const panels: Document[] = dashboard.panels;
  const expressions: string[] = panels.flatMap(({ targets = [] }) =>
    targets.map(({ expr }: Document) => expr),
  );

  test("has panels with numbers of their own, that do not lie on each other", () => {
    expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length);
    const taken = new Set<string>();
    for (const { gridPos, title } of panels) {
      expect(gridPos.x + gridPos.w).toBeLessThanOrEqual(24);
      for (let x = gridPos.x; x < gridPos.x + gridPos.w; x++) {
        for (let y = gridPos.y; y < gridPos.y + gridPos.h; y++) {
          expect({ title, free: !taken.has(`${x} ${y}`) }).toEqual({ title, free: true });
          taken.add(`${x} ${y}`);
        }
      }
    }
  });

  test("asks the source that is chosen, with variables that there are", () => {
    const names = dashboard.templating.list.map(({ name }: Document) => name);
    const builtIn = ["__rate_interval", "__range"];
    for (const expression of expressions) {
      for (const [, name] of expression.matchAll(/\$\{?(\w+)/g)) {
        expect([...names, ...builtIn]).toContain(name);
      }
    }
    for (const { type, datasource } of panels) {
      if (type !== "row") expect(datasource.uid).toBe(`$\{datasource}`);
    }
  });

  test.skipIf(lacks("promtool"))("asks what Prometheus can answer", () => {
    const folder = mkdtempSync(join(tmpdir(), "microview-queries-"));
    const path = join(folder, "rules.json");
    const rules = expressions.map((expr, i) => ({
      record: `panel:query:${i}`,
      expr: expr
        .replaceAll("$__rate_interval", "1m")
        .replaceAll("$__range", "1h")
        .replaceAll(/\$\w+/g, "any"),
    }));
    writeFileSync(path, JSON.stringify({ groups: [{ name: "dashboard", rules }] }));
    const { exitCode, output } = run("promtool", "check", "rules", path);
    rmSync(folder, { recursive: true });
    expect({ exitCode, output: exitCode === 0 ? "" : output }).toEqual({ exitCode: 0, output: "" });
    expect(rules.length).toBeGreaterThan(25);
  });
});
