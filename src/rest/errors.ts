// How errors are told: every answer that is not a success, and what an agent says of itself.

import { type Static, Type } from "@sinclair/typebox";

/** Every error: a code for programs, a sentence and a hint for people. Warnings of the client have the same form. */
export const ApiError = Type.Object({
  code: Type.String({ description: "for programs" }),
  message: Type.String({ description: "what is wrong" }),
  hint: Type.String({ description: "what to do about it" }),
});
export type ApiError = Static<typeof ApiError>;

/** What keeps an agent from its work. */
export const Problem = Type.Object({
  message: Type.String(),
  hint: Type.String({ description: "what to do about it" }),
});
export type Problem = Static<typeof Problem>;
