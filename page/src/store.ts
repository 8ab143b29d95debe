/** One execution as it is followed: its events, and how it stands now and where the time slider is. */
import { computed, signal } from "@preact/signals";
import { type ApiError, PREFIX, api, one } from "./api";
import { type Execution, type Segment, type TalkaEvent, type TaskDefinition, FINAL, type Workflow } from "./model/events";
import { type State, fold, initial } from "./model/fold";
import { route } from "./router";
import { follow } from "./stream";

/** How long events are gathered before the page is drawn again. */
const GATHER_MS = 30;
/** How often it is asked whether what is over goes on: somebody may restart it, or a request may be taken up late. */
const REVIVAL_MS = 2000;

export type Link = "connecting" | "live" | "lost" | "over";

/** A state is folded in place, so each look at it has a new wrapper. */
export interface Look {
  state: State;
  count: number;
}

export class Store {
  readonly events: TalkaEvent[] = [];
  readonly count = signal(0);
  readonly link = signal<Link>("connecting");
  readonly error = signal<ApiError | null>(null);
  /** What could not be fetched beside the events; the rest of the page goes on without it. */
  readonly missing = signal<string>("");
  /** The events that there were when the page was opened: until they are here nothing is shown. */
  readonly expected = signal<number | null>(null);
  readonly critical = signal<Segment[]>([]);
  readonly pool = signal("");
  /** The URL of the file in which it lies, if it is archived. */
  readonly archived = signal<string | null>(null);
  private readonly definition = signal<Workflow | null>(null);
  private gathering: ReturnType<typeof setTimeout> | undefined;
  private reviving: ReturnType<typeof setTimeout> | undefined;
  private stop: () => void = () => undefined;
  private isClosed = false;
  /** The event at which it was over. */
  private version = 0;
  /** Whether somebody looks at the critical path: it takes the gateway long to find. */
  private isTraced = false;
  private states: [State, State] = [initial(), initial()];
  private base: Workflow | null = null;

  readonly now = computed<Look>(() => this.look(0, this.count.value));
  readonly shown = computed<Look>(() => {
    const at = route.value.at;
    const count = at === null ? this.count.value : Math.min(at, this.count.value);
    return this.look(1, count);
  });

  constructor(readonly id: string) {
    api.execution(id).then(
      (document) => {
        this.expected.value = document.version;
        this.note(document);
        if (!this.isClosed) this.stop = this.follow();
      },
      (error: ApiError) => { this.error.value = error; },
    );
  }

  private note(document: Execution): void {
    this.pool.value = document.pool;
    this.archived.value = document.archived;
    this.version = document.version;
  }

  private follow(): () => void {
    return follow(`${PREFIX}${one(this.id)}/stream?from=${this.events.length + 1}`, {
      onMessages: (messages) => {
        for (const message of messages) {
          if (message.event === "over") this.note(JSON.parse(message.data) as Execution);
          if (message.event === "over" || message.event === "problem") continue;
          const event = JSON.parse(message.data) as TalkaEvent;
          if (event.version === this.events.length + 1) this.events.push(event);
        }
        if (this.events.length >= this.expected.value!) this.gathering ??= setTimeout(() => this.publish(), GATHER_MS);
      },
      onState: (link, error) => {
        this.link.value = link;
        this.error.value = error ?? null;
        if (link !== "over") return;
        // Of what is archived the last event says only that, and is not among the events.
        if (this.events.length > this.count.value) this.publish();
        if (this.isTraced) void this.trace();
        this.awaitRevival(REVIVAL_MS);
      },
    });
  }

  /** Look at once whether what was over has been set going again. */
  again(): void {
    if (this.link.value === "over") this.awaitRevival(0);
  }

  /** Go on following as soon as there is more than was over. */
  private awaitRevival(pause: number): void {
    clearTimeout(this.reviving);
    this.reviving = setTimeout(() => {
      const isBehind = async (): Promise<boolean> =>
        !document.hidden && (await api.execution(this.id)).version !== this.version;
      isBehind().then(
        (isSo) => {
          if (this.isClosed) return;
          if (isSo) this.stop = this.follow();
          else this.awaitRevival(REVIVAL_MS);
        },
        // Whoever cannot be reached now is asked again, as a stream that broke is.
        () => { if (!this.isClosed) this.awaitRevival(REVIVAL_MS); },
      );
    }, pause);
  }

  close(): void {
    this.isClosed = true;
    this.stop();
    clearTimeout(this.gathering);
    clearTimeout(this.reviving);
  }

  /** Ask for the critical path; a still running execution has one too. */
  async trace(): Promise<void> {
    this.isTraced = true;
    this.critical.value = (await this.fetched("The critical path", api.bottlenecks(this.id, false)))?.segments ?? [];
  }

  private publish(): void {
    this.gathering = undefined;
    const first = this.events[0];
    const isNamed = first?.type === "ExecutionAccepted" && !first.workflow;
    if (isNamed && !this.definition.value) void this.define();
    this.count.value = this.events.length;
  }

  /** Fetch a definition that the first event only names. */
  private async define(): Promise<void> {
    this.definition.value = await this.fetched("The workflow", api.workflow(this.id));
  }

  private async fetched<T>(what: string, asking: Promise<T>): Promise<T | null> {
    try {
      return await asking;
    } catch (failure) {
      this.missing.value = `${what} could not be fetched: ${(failure as Error).message}`;
      return null;
    }
  }

  private look(which: 0 | 1, count: number): Look {
    const definition = this.definition.value;
    if (definition !== this.base) {
      this.base = definition;
      this.states = [initial(), initial()];
    }
    const known = definition && withoutAdditions(definition, this.events);
    this.states[which] = fold(this.events, count, known, this.states[which]);
    return { state: this.states[which], count };
  }
}

/** The gateway returns a definition as it has grown; the events say when it grew. */
function withoutAdditions(workflow: Workflow, events: readonly TalkaEvent[]): Workflow {
  const added = new Set<string>();
  for (const event of events) {
    if (event.type === "TasksAdded") for (const task of event.tasks as TaskDefinition[]) added.add(task.id);
  }
  return {
    ...workflow,
    tasks: workflow.tasks.filter((task) => !added.has(task.id)),
    dependencies: (workflow.dependencies ?? []).filter(([from, to]) => !added.has(from) && !added.has(to)),
  };
}

export function isOver(state: State): boolean {
  return FINAL.has(state.status);
}

/** The time in Unix seconds, for what counts up. */
export const now = signal(Date.now() / 1000);
setInterval(() => { now.value = Date.now() / 1000; }, 500);
