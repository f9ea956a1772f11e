// `microview completion`: prints a script that teaches a shell our commands and flags.

import { defineSubcommand, flag } from "../command-line/index.ts";
import { bashScript } from "./completion/bash.ts";
import { describeProgram } from "./completion/description.ts";
import { fishScript } from "./completion/fish.ts";
import { zshScript } from "./completion/zsh.ts";

const SCRIPTS = { bash: bashScript, zsh: zshScript, fish: fishScript } as const;

export default defineSubcommand("completion", {
  examples: [
    { command: "source <(microview completion bash)", does: "for this bash" },
    {
      command: "microview completion zsh > ~/.zfunc/_microview",
      does: "for every zsh, with ~/.zfunc in fpath",
    },
    {
      command: "microview completion fish > ~/.config/fish/completions/microview.fish",
      does: "for every fish",
    },
  ],
  operands: flag.required(
    flag.choice(["bash", "zsh", "fish"], { hint: "SHELL", description: "bash, zsh or fish" }),
  ),
  flags: {},
  async run(_options, shell) {
    process.stdout.write(SCRIPTS[shell](await describeProgram()));
  },
});
