// Callers take turns: what one of them asks for makes the others wait for no more than one of its turns.

import { expect, test } from "bun:test";
import { Turns } from "../../src/guard/index.ts";

const refusal = (waiting: number) => new Error(`${waiting} wait`);

/** Takes turns under a name, and says in which order they began. */
function caller(turns: Turns, began: string[]) {
  return async (name: string, signal?: AbortSignal) => {
    const end = await turns.take(name, signal);
    began.push(name);
    return end;
  };
}

/** Lets whoever may begin do so. */
const settle = () => new Promise(setImmediate);

test("whoever waits begins in turns by caller, and not by who came first", async () => {
  const turns = new Turns({ atOnce: 1, waiting: 10, refusal });
  const began: string[] = [];
  const take = caller(turns, began);
  const ends = [await take("evil")];
  for (const name of ["evil", "evil", "evil", "shop", "bank", "shop"]) {
    void take(name).then((end) => ends.push(end));
  }
  for (let end = ends.shift(); end !== undefined; end = ends.shift()) {
    end();
    await settle();
  }
  expect(began).toEqual(["evil", "shop", "bank", "evil", "shop", "evil", "evil"]);
});

test("one caller has no more than its share at once, and of those who wait", async () => {
  const turns = new Turns({
    ...{ atOnce: 2, waiting: 3, refusal },
    perCaller: { atOnce: 1, waiting: 2 },
  });
  const began: string[] = [];
  const take = caller(turns, began);
  const first = await take("evil");
  const second = take("evil");
  void take("evil");
  await expect(take("evil")).rejects.toThrow("2 wait");
  const shop = await take("shop");
  expect(began).toEqual(["evil", "shop"]);
  void take("shop");
  await expect(take("bank")).rejects.toThrow("3 wait");
  first();
  first();
  await second;
  shop();
  await settle();
  expect(began).toEqual(["evil", "shop", "evil", "shop"]);
});

test("whoever leaves while waiting makes room for the next", async () => {
  const turns = new Turns({ atOnce: 1, waiting: 1, refusal });
  const end = await turns.take("shop");
  const leaving = new AbortController();
  const left = turns.take("shop", leaving.signal);
  leaving.abort(new Error("gone"));
  await expect(left).rejects.toThrow("gone");
  const next = turns.take("shop");
  end();
  (await next)();
  (await turns.take("bank"))();
});
