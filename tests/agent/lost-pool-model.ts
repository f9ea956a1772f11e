// The protocol by which writers get from a lost pool to the next one, as a small model: two writers, an agent that dies
// and comes back, files that lose their name and get it back. Every step is one that may be the last: whatever happens
// between two of them can happen in fact. Values are counts of stores.

/** Faults that the model can be given, to see that it notices them. */
export interface Mistakes {
  /** A writer that loses sight of its pool takes its values along before the agent has named another. */
  leavesFirst?: boolean;
  /** The lost pool can be read on. */
  lostIsReadable?: boolean;
  /** The agent goes on copying after it has allowed a writer to store into the new pool. */
  copiesAlways?: boolean;
  /** The agent takes the lost place of a writer that died on its way, whatever the new one holds. */
  takesLostPlace?: boolean;
  /** What was counted already is brought along again. */
  bringsCounted?: boolean;
  /** A writer lets go of a place that was lost as well before it has another. */
  letsGoEarly?: boolean;
  /** The old place keeps its values when they have moved. */
  keepsOldPlace?: boolean;
}

export interface Bounds {
  /** Writers. */
  count: 1 | 2;
  stores: readonly [number, number];
  fileEvents: number;
  agentDeaths: number;
  kills: number;
  /** How often the agent gives up waiting for writers. */
  waits: number;
}

interface ModelPool {
  lineage: number;
  replacements: number;
  where: "name" | "away" | "gone";
  isFrozen: boolean;
  retained: number;
  /** Writers of its directory, by number: what their place holds. */
  places: Record<number, number>;
  /** The last number that was given to a writer. */
  lastWriter: number;
  elsewhere: number;
}

interface ModelAgent {
  pool: number;
  stays: Record<number, { pools: number[]; isMoving: boolean }>;
  awaited: number[];
}

interface Answer {
  pool: number;
  writer: number;
  isKnown: boolean;
  counted: boolean;
}

interface ModelWriter {
  isAlive: boolean;
  stored: number;
  /** What it did not bring along because it was counted, as far as it was copied. */
  dropped: number;
  /** Where it is attached, and whether its value lies there. */
  at: { pool: number; writer: number; isPlaced: boolean } | null;
  /** Its value while that lies in private memory. */
  own: number;
  answer: Answer | null;
  /** Where it holds a second lock. */
  to: { pool: number; writer: number } | null;
  step: "settled" | "answered" | "locked" | "held" | "copied" | "cleared";
  isLost: boolean;
}

export interface State {
  pools: ModelPool[];
  agent: ModelAgent | null;
  writers: [ModelWriter, ModelWriter];
  left: { stores: number[]; fileEvents: number; agentDeaths: number; kills: number; waits: number };
  /** The least and most that the total may be. */
  lost: number;
  /** No agent ran when a file had lost its name, or got it back: what only the file held may be gone. */
  isExcused: boolean;
  /** The agent died while writers were in a lost pool: what it had not copied yet goes with them when they die. */
  isHalfCopied: boolean;
  /** What a reader was shown last. */
  shown: number;
}

type Action = [name: string, run: (state: State) => void];

export class Model {
  constructor(
    readonly bounds: Bounds,
    readonly mistakes: Mistakes = {},
  ) {}

  /** Both writers are attached and placed, and the agent runs. */
  start(): State {
    const { count, stores, fileEvents, agentDeaths, kills, waits } = this.bounds;
    const writer = (number: number): ModelWriter => ({
      isAlive: number <= count,
      stored: 0,
      dropped: 0,
      at: { pool: 0, writer: number, isPlaced: true },
      own: 0,
      answer: null,
      to: null,
      step: "settled",
      isLost: false,
    });
    return {
      pools: [
        {
          lineage: 0,
          replacements: 0,
          where: "name",
          isFrozen: false,
          retained: 0,
          places: { 1: 0, 2: 0 },
          lastWriter: 2,
          elsewhere: 0,
        },
      ],
      agent: { pool: 0, stays: {}, awaited: [] },
      writers: [writer(1), writer(2)],
      left: { stores: [...stores], fileEvents, agentDeaths, kills, waits },
      lost: 0,
      isExcused: false,
      isHalfCopied: false,
      shown: 0,
    };
  }

  /** All that may happen next. */
  actions(state: State): Action[] {
    const found: Action[] = [];
    const { pools, agent, left } = state;
    const named = pools.findIndex(({ where }) => where === "name");
    const away = pools.findIndex(({ where }) => where === "away");
    if (left.fileEvents > 0) {
      const event = (name: string, run: (s: State) => void) =>
        found.push([
          name,
          (s) => {
            s.left.fileEvents--;
            if (s.agent === null) s.isExcused = true;
            run(s);
          },
        ]);
      if (named >= 0) event("the file is removed", (s) => move(s, named, "gone"));
      if (named >= 0 && away < 0) {
        event("the file is renamed away", (s) => move(s, named, "away"));
      }
      if (away >= 0) {
        event("the file is renamed back", (s) => {
          if (named >= 0) move(s, named, "gone");
          move(s, away, "name");
        });
      }
    }
    if (agent === null) found.push(["an agent starts", (s) => this.#adopt(s)]);
    else {
      found.push(["the agent looks", (s) => this.#scan(s)]);
      if (left.waits > 0 && agent.awaited.length > 0) {
        found.push([
          "the agent waits no longer",
          (s) => {
            s.left.waits--;
            s.agent!.awaited = [];
            s.isHalfCopied = true;
          },
        ]);
      }
      if (left.agentDeaths > 0) {
        found.push([
          "the agent dies",
          (s) => {
            s.left.agentDeaths--;
            const { pool } = s.agent!;
            if (pool >= 0 && s.pools[pool]!.where !== "name") s.isExcused = true;
            if (Object.keys(s.agent!.stays).length > 0) s.isHalfCopied = true;
            s.agent = null;
          },
        ]);
      }
    }
    for (const [i, writer] of state.writers.entries()) {
      if (!writer.isAlive) continue;
      const next = this.#next(state, writer);
      if (next !== undefined)
        found.push([`writer ${i} ${next[0]}`, (s) => next[1](s, s.writers[i]!)]);
      if (left.stores[i]! > 0 && writer.step !== "copied" && writer.step !== "cleared") {
        found.push([
          `writer ${i} stores`,
          (s) => {
            s.left.stores[i]!--;
            const w = s.writers[i]!;
            w.stored++;
            this.#add(s, w);
          },
        ]);
      }
      if (left.kills > 0) {
        found.push([
          `writer ${i} is killed`,
          (s) => {
            s.left.kills--;
            const w = s.writers[i]!;
            w.isAlive = false;
            // Private memory goes with its process.
            if (w.at?.isPlaced !== true) s.lost += w.own;
          },
        ]);
      }
    }
    return found;
  }

  /** What a reader sees now; undefined when there is nothing that it may read. */
  shownBy(state: State): number | undefined {
    const pool = state.pools.find(({ where }) => where === "name");
    if (pool === undefined || pool.isFrozen) return undefined;
    return contents(pool);
  }

  /** What is wrong with a state; also notes in it what is shown. */
  fault(state: State): string | undefined {
    const stored = total(state);
    // Whoever has a file open reads on in it, also when it has lost its name, until he looks for another.
    for (const pool of state.pools) {
      if (pool.where !== "gone" || pool.isFrozen || state.isExcused) continue;
      state.shown = Math.max(state.shown, contents(pool));
    }
    const shown = this.shownBy(state);
    if (shown === undefined) return undefined;
    if (shown > stored) return `${shown} is shown, ${stored} was stored`;
    if (shown < state.shown && !state.isExcused) return `${state.shown} was shown, now ${shown}`;
    state.shown = Math.max(shown, state.shown);
    return undefined;
  }

  /** What is wrong when nothing more happens but what has to: the agent looks, and living writers go on. */
  faultAtTheEnd(given: State): string | undefined {
    const state = structuredClone(given);
    if (state.agent === null) this.#adopt(state);
    for (let round = 0; round < 8; round++) {
      this.#scan(state);
      for (const writer of state.writers) {
        for (let step = 0; step < 8 && writer.isAlive; step++) {
          this.#next(state, writer)?.[1](state, writer);
          const fault = this.fault(state);
          if (fault !== undefined) return fault;
        }
      }
    }
    // Those who have not come by now are not waited for any more.
    state.agent!.awaited = [];
    this.#scan(state);
    const shown = this.shownBy(state);
    const stored = total(state) - state.lost;
    // Only one that was given up by the agent may have to begin again.
    const wasGivenUp = state.left.waits < this.bounds.waits;
    const living = state.writers.reduce((sum, { isAlive, stored, dropped }) => {
      return sum + (isAlive ? stored - (wasGivenUp ? dropped : 0) : 0);
    }, 0);
    const mayMiss = state.isExcused || state.isHalfCopied;
    if (shown === undefined) {
      // Nobody is there to begin again.
      const isOver = state.isExcused && state.writers.every(({ isAlive }) => !isAlive);
      return isOver ? undefined : "nothing is shown at the end";
    }
    if (shown !== stored && !(mayMiss && shown >= living && shown <= stored)) {
      return `${shown} is shown at the end, ${stored} was stored`;
    }
    return undefined;
  }

  #add(state: State, writer: ModelWriter): void {
    const { at } = writer;
    if (at?.isPlaced) state.pools[at.pool]!.places[at.writer]! += 1;
    else writer.own++;
  }

  /** The next step of a writer, if it has one. */
  #next(
    state: State,
    writer: ModelWriter,
  ): [name: string, run: (s: State, w: ModelWriter) => void] | undefined {
    const { at, step, answer, to } = writer;
    const isSeen = at !== null && state.pools[at.pool]!.where === "name";
    switch (step) {
      case "settled":
        if (at === null || writer.isLost || !isSeen) {
          if (this.mistakes.leavesFirst && at !== null) {
            return ["leaves", (s, w) => this.#leave(s, w)];
          }
          return state.agent === null ? undefined : ["asks", (s, w) => this.#ask(s, w)];
        }
        if (at.isPlaced || state.agent === null) return undefined;
        return ["registers", (s, w) => this.#register(s, w)];
      case "answered":
        return [
          "opens",
          (s, w) => {
            const same = answer!.isKnown && answer!.pool === at?.pool;
            if (same) w.isLost = false;
            const mayOpen = !same && s.pools[answer!.pool]!.where === "name";
            if (same) w.to = null;
            if (mayOpen) w.to = { pool: answer!.pool, writer: answer!.writer };
            w.step = mayOpen ? "locked" : "settled";
            if (!mayOpen) w.answer = null;
          },
        ];
      case "locked":
        if (state.agent === null) return ["gets no answer", askAnew];
        return ["says that it holds its lock", (s, w) => this.#hold(s, w)];
      case "held":
        if (answer!.isKnown) {
          return [
            "copies",
            (s, w) => {
              s.pools[to!.pool]!.places[to!.writer] = s.pools[at!.pool]!.places[at!.writer]!;
              w.step = "copied";
            },
          ];
        }
        return [
          "arrives",
          (s, w) => {
            if (w.at !== null) {
              const place = s.pools[w.at.pool]!.places;
              if (w.at.isPlaced)
                w.own = answer!.counted && !this.mistakes.bringsCounted ? 0 : place[w.at.writer]!;
              // How much of it was counted, nobody knows.
              if (w.at.isPlaced && answer!.counted) w.dropped += place[w.at.writer]!;
              if (w.at.isPlaced && !this.mistakes.keepsOldPlace) place[w.at.writer] = 0;
            }
            w.at = { ...w.to!, isPlaced: false };
            arrive(w);
          },
        ];
      case "copied":
        return [
          "clears its old place",
          (s, w) => {
            if (!this.mistakes.keepsOldPlace) s.pools[at!.pool]!.places[at!.writer] = 0;
            w.step = "cleared";
          },
        ];
      case "cleared":
        return [
          "lets go of its old place",
          (_, w) => {
            w.at = { ...w.to!, isPlaced: w.at!.isPlaced };
            arrive(w);
          },
        ];
    }
  }

  /** The old way: values to private memory, lock and all let go. */
  #leave(state: State, writer: ModelWriter): void {
    const { at } = writer;
    if (at?.isPlaced) writer.own = state.pools[at.pool]!.places[at.writer]!;
    writer.at = null;
  }

  #ask(state: State, writer: ModelWriter): void {
    this.#restore(state);
    const agent = state.agent!;
    if (agent.pool < 0) this.#open(state);
    if (agent.pool < 0) return;
    const pool = state.pools[agent.pool]!;
    const { at } = writer;
    const before = at === null ? undefined : state.pools[at.pool]!;
    writer.step = "answered";
    if (at !== null && before!.lineage === pool.lineage && at.writer in pool.places) {
      if (at.pool !== agent.pool && agent.stays[at.writer])
        agent.stays[at.writer]!.isMoving = false;
      writer.answer = { pool: agent.pool, writer: at.writer, isKnown: true, counted: false };
      return;
    }
    const number = ++pool.lastWriter;
    pool.places[number] = 0;
    agent.awaited.push(number);
    const counted =
      before !== undefined &&
      before.lineage === pool.lineage &&
      before.replacements <= pool.replacements;
    writer.answer = { pool: agent.pool, writer: number, isKnown: false, counted };
  }

  #hold(state: State, writer: ModelWriter): void {
    const agent = state.agent!;
    const { pool, writer: number } = writer.to!;
    if (agent.pool !== pool || !(number in state.pools[pool]!.places)) {
      if (this.mistakes.letsGoEarly || agent.pool === pool) writer.to = null;
      askAnew(state, writer);
      return;
    }
    agent.awaited = agent.awaited.filter((each) => each !== number);
    if (agent.stays[number]) agent.stays[number].isMoving = true;
    writer.step = "held";
  }

  #register(state: State, writer: ModelWriter): void {
    const agent = state.agent!;
    const { pool, writer: number } = writer.at!;
    const isElsewhere = agent.stays[number]?.isMoving === false;
    if (agent.pool !== pool || !(number in state.pools[pool]!.places) || isElsewhere) {
      writer.isLost = true;
      return;
    }
    state.pools[pool]!.places[number] = writer.own;
    writer.own = 0;
    writer.at!.isPlaced = true;
  }

  /** A new agent takes what has the name. */
  #adopt(state: State): void {
    const found = state.pools.findIndex(({ where }) => where === "name");
    state.agent = { pool: found, stays: {}, awaited: [] };
    if (found < 0) return;
    const pool = state.pools[found]!;
    pool.isFrozen = false;
    if (pool.elsewhere === 0) return;
    state.agent.awaited = Object.keys(pool.places)
      .map(Number)
      .filter((number) => !isLocked(state, found, number));
  }

  /** An application without a pool gets one. */
  #open(state: State): void {
    const found = state.pools.findIndex(({ where }) => where === "name");
    if (found >= 0) {
      this.#adopt(state);
      return;
    }
    state.agent!.pool = state.pools.length;
    state.pools.push({
      lineage: state.pools.length,
      replacements: 0,
      where: "name",
      isFrozen: false,
      retained: 0,
      places: {},
      lastWriter: 0,
      elsewhere: 0,
    });
  }

  #restore(state: State): void {
    const agent = state.agent!;
    if (agent.pool < 0) return;
    const lost = state.pools[agent.pool]!;
    if (lost.where === "name") return;
    const other = state.pools.find(({ where }) => where === "name");
    if (other !== undefined) other.where = "gone";
    if (lost.where === "away") {
      lost.where = "name";
      return;
    }
    if (!this.mistakes.lostIsReadable) lost.isFrozen = true;
    for (const number of Object.keys(lost.places).map(Number)) {
      const stay = agent.stays[number];
      if (stay === undefined) agent.stays[number] = { pools: [agent.pool], isMoving: false };
      else if (stay.isMoving || isLocked(state, agent.pool, number)) {
        stay.pools.push(agent.pool);
        stay.isMoving = false;
      }
    }
    agent.pool = state.pools.length;
    state.pools.push({
      ...structuredClone(lost),
      replacements: lost.replacements + 1,
      where: "name",
      isFrozen: false,
      elsewhere: Object.keys(lost.places).length,
    });
  }

  #scan(state: State): void {
    this.#restore(state);
    const agent = state.agent!;
    if (agent.pool < 0) return;
    const pool = state.pools[agent.pool]!;
    for (const number of Object.keys(pool.places).map(Number)) {
      if (this.#livesElsewhere(state, number)) continue;
      if (isLocked(state, agent.pool, number)) {
        agent.awaited = agent.awaited.filter((each) => each !== number);
        continue;
      }
      // A writer that lives comes in time: see {@link Model.faultAtTheEnd} for those who do not.
      if (agent.awaited.includes(number)) continue;
      pool.retained += pool.places[number]!;
      delete pool.places[number];
      delete agent.stays[number];
    }
    pool.elsewhere = Object.keys(agent.stays).length + agent.awaited.length;
  }

  #livesElsewhere(state: State, number: number): boolean {
    const agent = state.agent!;
    const stay = agent.stays[number];
    if (stay === undefined) return false;
    const pool = state.pools[agent.pool]!;
    const livesThere = stay.pools.some((each) => isLocked(state, each, number));
    const hasMoved = !livesThere && stay.isMoving && isLocked(state, agent.pool, number);
    const mayCopy = this.mistakes.copiesAlways || !(livesThere && stay.isMoving);
    if (!hasMoved && mayCopy) {
      for (const each of stay.pools) {
        const value = state.pools[each]!.places[number] ?? 0;
        const isMore = pool.places[number]! > value;
        if (!isMore || this.mistakes.takesLostPlace || this.mistakes.copiesAlways) {
          pool.places[number] = value;
        }
      }
    }
    if (!livesThere) delete agent.stays[number];
    return livesThere;
  }
}

function move(state: State, pool: number, where: ModelPool["where"]): void {
  state.pools[pool]!.where = where;
}

function contents({ retained, places }: ModelPool): number {
  return retained + Object.values(places).reduce((sum, value) => sum + value, 0);
}

function arrive(writer: ModelWriter): void {
  writer.to = null;
  writer.answer = null;
  writer.step = "settled";
  writer.isLost = false;
}

/** It keeps what it holds until it has another place: the agent must not take it for dead. */
function askAnew(_: State, writer: ModelWriter): void {
  writer.answer = null;
  writer.step = "settled";
}

function isLocked(state: State, pool: number, number: number): boolean {
  return state.writers.some(
    ({ isAlive, at, to }) =>
      isAlive && [at, to].some((place) => place?.pool === pool && place.writer === number),
  );
}

function total(state: State): number {
  return state.writers.reduce((sum, { stored }) => sum + stored, 0);
}

/** A way to a state in which something is wrong. */
export interface Counterexample {
  steps: string[];
  fault: string;
}

/** Looks at all states that can be reached. */
export function explore(model: Model): { states: number; found?: Counterexample } {
  const first = model.start();
  const keys = new Map<string, number>();
  const states: { key: string; from: number; action: string }[] = [];
  const add = (state: State, from: number, action: string) => {
    const key = JSON.stringify(state);
    if (keys.has(key)) return;
    keys.set(key, states.length);
    states.push({ key, from, action });
  };
  add(first, -1, "");
  for (let i = 0; i < states.length; i++) {
    const { key } = states[i]!;
    const state = JSON.parse(key) as State;
    const atTheEnd = model.faultAtTheEnd(state);
    if (atTheEnd !== undefined) return { states: states.length, found: wayTo(i, "", atTheEnd) };
    for (const [name, run] of model.actions(state)) {
      const next = JSON.parse(key) as State;
      run(next);
      const fault = model.fault(next);
      if (fault !== undefined) return { states: states.length, found: wayTo(i, name, fault) };
      add(next, i, name);
    }
  }
  return { states: states.length };

  function wayTo(last: number, action: string, fault: string): Counterexample {
    const steps = action === "" ? [] : [action];
    for (let i = last; i > 0; i = states[i]!.from) steps.unshift(states[i]!.action);
    return { steps, fault };
  }
}
