// The environment that tests give to the processes that they start: nothing of the machine's but where programs are,
// and a socket at which no agent can be, so that none that happens to run here is written to.

/** As .env.test has it for the tests themselves. */
export const NO_AGENT = "/proc/no-agent-of-the-tests/agent.sock";

/** @param more what this process needs besides; its own MICROVIEW_SOCKET, for instance */
export function surroundings(more: Readonly<Record<string, string>> = {}): Record<string, string> {
  return { PATH: process.env["PATH"] ?? "", MICROVIEW_SOCKET: NO_AGENT, ...more };
}
