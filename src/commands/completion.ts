// `microview completion`: prints a script that teaches a shell our commands and flags.

import {
  completionScript,
  defineSubcommand,
  flag,
  type LoadSubcommand,
} from "../command-line/index.ts";

/** @param load how it gets at the declarations of all subcommands, itself included */
export const completion = (load: LoadSubcommand) =>
  defineSubcommand("completion", {
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
      process.stdout.write(await completionScript(shell, load));
    },
  });
