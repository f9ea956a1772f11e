// The flag --kubernetes and related ones: whether the agent asks an API server for the names of pods, and which.

import { UsageError } from "../../command-line/index.ts";
import type { KubernetesAccess } from "../../identity/index.ts";

interface KubernetesFlags {
  kubernetes: string;
  kubernetesTokenFile: string | undefined;
  kubernetesCa: string | undefined;
  nodeName: string | undefined;
  processMetrics: "off" | number;
}

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Where to ask for names.
 * @param serviceAccount where pods are given their token, instead of the usual folder
 * @returns undefined when nobody is to be asked; with a sentence where one could have been
 * @throws UsageError for what cannot be meant
 */
export async function kubernetesOf(
  flags: KubernetesFlags,
  env: Environment,
  serviceAccount?: string,
): Promise<{ access: KubernetesAccess; nodeName: string } | { unused: string } | undefined> {
  const { kubernetes, kubernetesTokenFile, kubernetesCa } = flags;
  if (kubernetes === "off") return undefined;
  const { inCluster, isNodeName, parseServerUrl } = await import("../../identity/index.ts");
  const more = {
    ...(kubernetesTokenFile === undefined ? {} : { tokenFile: kubernetesTokenFile }),
    ...(kubernetesCa === undefined ? {} : { caFile: kubernetesCa }),
  };
  if (kubernetes === "auto") {
    const found = inCluster(env, serviceAccount);
    if (found === undefined || flags.processMetrics === "off") return undefined;
    const nodeName = nodeNameOf(flags, env, isNodeName);
    if (nodeName !== undefined) return { access: { ...found, ...more }, nodeName };
    return { unused: "the node's name is not known" };
  }
  let url: string;
  try {
    url = parseServerUrl(kubernetes);
  } catch (error) {
    throw new UsageError(
      `--kubernetes ${kubernetes}: ${(error as Error).message}`,
      "take auto, off or an address",
    );
  }
  if (flags.processMetrics === "off") {
    throw new UsageError(
      "--kubernetes names the processes that --process-metrics samples, which is off",
      "give --process-metrics an interval",
    );
  }
  const nodeName = nodeNameOf(flags, env, isNodeName);
  if (nodeName === undefined) {
    throw new UsageError(
      "--kubernetes asks for the pods of one node, and its name is not known",
      "give --node-name, or NODE_NAME in the environment, as in `kubectl get nodes`",
    );
  }
  return { access: { url, ...more }, nodeName };
}

function nodeNameOf(
  { nodeName }: KubernetesFlags,
  env: Environment,
  isNodeName: (name: string) => boolean,
): string | undefined {
  const name = nodeName ?? (env["NODE_NAME"] || undefined);
  if (name === undefined || isNodeName(name)) return name;
  throw new UsageError(
    `${nodeName === undefined ? "NODE_NAME" : "--node-name"} is no name of a node: ${JSON.stringify(name.slice(0, 80))}`,
    "write it as `kubectl get nodes` does",
  );
}
