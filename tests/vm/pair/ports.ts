// Where the agent of the machine `one` is reached.

export const ONE = { host: "10.77.0.1", port: 7070 };
export const PORTS = [
  ...["--port", String(ONE.port), "--data-port", "7071"],
  ...["--rdma-cm-port", "7072"],
];
