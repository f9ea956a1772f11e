// Nodes of Kubernetes: how they are named, and on which one this process is.

/** As Kubernetes names nodes: RFC 1123. It becomes part of a selector, so nothing else may be in it. */
const NODE_NAME = /^(?=.{1,253}$)[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/;

export function isNodeName(name: string): boolean {
  return NODE_NAME.test(name);
}

/** The node that this is a pod of, as the environment says; in a pod the host's name is another after each restart. */
export function nodeOfPod(
  environment: Readonly<Record<string, string | undefined>>,
): string | undefined {
  const { KUBERNETES_SERVICE_HOST: cluster, NODE_NAME: node } = environment;
  return cluster === undefined || node === "" ? undefined : node;
}
