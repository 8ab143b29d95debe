/**
 * How an execution stood after any event, folded from its log as the scheduler folds it.
 *
 * Only what is shown is kept. The golden histories hold it against the scheduler's own fold:
 * after every event, every task has the same status here and there.
 */
import type { Dependency, ExecutionStatus, TalkaEvent, TaskDefinition, TaskStatus, Workflow } from "./events";

export interface TaskState {
  id: string;
  status: TaskStatus;
  attempt: number;
  worker: string;
  allocation: string;
  /** What it waits for, or has last waited for. */
  kind: string;
  /** Since when it has this status, in Unix seconds. */
  since: number;
  /** What undoing has to know. */
  round: number;
  hasActed: boolean;
  isUnwanted: boolean;
  isExpired: boolean;
}

interface Addition {
  version: number;
  by: string;
  reason: string;
  tasks: TaskDefinition[];
  dependencies: Dependency[];
}

export interface State {
  version: number;
  at: number;
  name: string;
  status: ExecutionStatus;
  reason: string;
  startedAt: number | null;
  finishedAt: number | null;
  tasks: Map<string, TaskState>;
  definitions: Map<string, TaskDefinition>;
  edges: Dependency[];
  additions: Addition[];
  retired: Map<string, number>;
  /** Allocations that wait for another task, with the task that had each last. */
  kept: Map<string, string>;
  undone: string[];
  resumed: string[];
  isTimingOut: boolean;
  /** Counts the changes of the graph, so that it is laid out only when it changed. */
  shape: number;
}

type Handler = (state: State, event: TalkaEvent) => void;

const UNDO = "undo:";
const ENDED: ReadonlySet<TaskStatus> = new Set<TaskStatus>([
  "succeeded", "failed", "timed_out", "cancelled", "skipped", "compensated",
]);

export function isFinal(status: TaskStatus): boolean {
  return ENDED.has(status);
}

export function initial(): State {
  return {
    version: 0, at: 0, name: "", status: "accepted", reason: "", startedAt: null, finishedAt: null,
    tasks: new Map(), definitions: new Map(), edges: [], additions: [], retired: new Map(),
    kept: new Map(), undone: [], resumed: [], isTimingOut: false, shape: 0,
  };
}

/** Remember one event, in place; `definition` is the workflow where the event only names it. */
export function evolve(state: State, event: TalkaEvent, definition: Workflow | null): void {
  state.version = event.version;
  state.at = event.at;
  if (event.type === "ExecutionAccepted") accept(state, event, event.workflow ?? definition);
  else HANDLERS[event.type]?.(state, event);
}

/** Return the state after the first `count` events; from `before`, in place, where that is not past them. */
export function fold(
  events: readonly TalkaEvent[], count: number, definition: Workflow | null, before: State = initial(),
): State {
  const state = before.version <= (events[count - 1]?.version ?? 0) ? before : initial();
  const first = events[0]?.version ?? 1;
  for (let index = state.version && state.version - first + 1; index < count; index++) {
    evolve(state, events[index]!, definition);
  }
  return state;
}

function fresh(id: string, at: number, round: number): TaskState {
  return {
    id, status: "pending", attempt: 0, worker: "", allocation: "", kind: "", since: at, round,
    hasActed: false, isUnwanted: false, isExpired: false,
  };
}

function accept(state: State, event: TalkaEvent, workflow: Workflow | null): void {
  state.status = "accepted";
  if (!workflow) return;
  state.name = workflow.name;
  state.edges = [...(workflow.dependencies ?? [])];
  for (const task of workflow.tasks) {
    state.definitions.set(task.id, task);
    state.tasks.set(task.id, fresh(task.id, event.at, 1));
  }
  state.shape++;
}

function become(status: TaskStatus): Handler {
  return (state, event) => {
    const task = state.tasks.get(event.task_id ?? "");
    if (!task) return;
    task.status = status;
    task.since = event.at;
    if (event.attempt) task.attempt = event.attempt;
  };
}

function queued(state: State, event: TalkaEvent): void {
  become("queued")(state, event);
  touch(state, event, (task) => { task.worker = ""; });
}

function scheduled(state: State, event: TalkaEvent): void {
  become("scheduled")(state, event);
  touch(state, event, (task) => {
    task.worker = event.worker_id ?? "";
    task.allocation = event.allocation_id ?? "";
    task.hasActed = true;
  });
}

function waiting(state: State, event: TalkaEvent): void {
  become("waiting")(state, event);
  touch(state, event, (task) => { task.kind = event.kind ?? ""; });
}

function ready(state: State, event: TalkaEvent): void {
  become("ready")(state, event);
  const undone = state.tasks.get(undoneBy(event.task_id ?? ""));
  if (undone) undone.status = "compensating";
}

function succeeded(state: State, event: TalkaEvent): void {
  become("succeeded")(state, event);
  const undone = state.tasks.get(undoneBy(event.task_id ?? ""));
  if (undone) Object.assign(undone, { status: "compensated", hasActed: false, since: event.at });
}

function failed(status: TaskStatus): Handler {
  return (state, event) => {
    become(status)(state, event);
    const undone = state.tasks.get(undoneBy(event.task_id ?? ""));
    if (undone) Object.assign(undone, { status: "failed", since: event.at });
  };
}

function cancelled(state: State, event: TalkaEvent): void {
  become("cancelled")(state, event);
  const undoes = undoneBy(event.task_id ?? "");
  touch(state, event, (task) => {
    task.isExpired = state.isTimingOut && !event.because && !undoes && !task.isUnwanted;
  });
  const undone = state.tasks.get(undoes);
  if (undone?.status === "compensating") Object.assign(undone, { status: "failed", since: event.at });
}

function adopted(state: State, event: TalkaEvent): void {
  become(event.status ?? "succeeded")(state, event);
  touch(state, event, (task) => { task.worker = event.worker_id ?? ""; });
}

function touch(state: State, event: TalkaEvent, change: (task: TaskState) => void): void {
  const task = state.tasks.get(event.task_id ?? "");
  if (task) change(task);
}

function added(state: State, event: TalkaEvent): void {
  const tasks = (event.tasks ?? []) as TaskDefinition[];
  const dependencies = event.dependencies ?? [];
  state.additions.push({
    version: event.version, by: event.by ?? "", reason: event.reason ?? "", tasks, dependencies,
  });
  for (const task of tasks) {
    state.definitions.set(task.id, task);
    state.tasks.set(task.id, fresh(task.id, event.at, state.retired.get(task.id) ?? 1));
    state.retired.delete(task.id);
  }
  state.edges = state.edges.concat(dependencies);
  state.shape++;
}

function keep(state: State, event: TalkaEvent): void {
  state.kept.set(event.allocation_id ?? "", event.task_id ?? "");
}

function letGo(state: State, event: TalkaEvent): void {
  state.kept.delete(event.allocation_id ?? "");
}

// --- the execution as a whole ---------------------------------------------------------------------

function stand(status: ExecutionStatus): Handler {
  return (state, event) => {
    state.status = status;
    state.reason = event.reason ?? event.message ?? state.reason;
  };
}

function end(status: ExecutionStatus): Handler {
  return (state, event) => {
    state.status = status;
    state.finishedAt = event.at;
  };
}

function started(state: State, event: TalkaEvent): void {
  state.status = "running";
  state.startedAt = event.at;
}

function resumed(state: State, event: TalkaEvent): void {
  if (state.status === "timed_out") {
    state.finishedAt = null;
    state.isTimingOut = false;
    for (const task of state.tasks.values()) {
      if (!task.isExpired) continue;
      task.status = task.kind === "map" ? "waiting" : "pending";
      task.isExpired = false;
      task.since = event.at;
    }
  }
  state.status = "running";
  state.reason = "";
}

// --- undoing --------------------------------------------------------------------------------------

function undoneBy(id: string): string {
  return id.startsWith(UNDO) ? id.slice(UNDO.length, id.lastIndexOf(":")) : "";
}

function beginAnew(state: State): void {
  state.finishedAt = null;
  state.reason = "";
  state.isTimingOut = false;
}

function rollbackStarted(state: State, event: TalkaEvent): void {
  beginAnew(state);
  state.status = "rolling_back";
  state.undone = (event.tasks ?? []) as string[];
  state.resumed = event.resumed ?? [];
  for (const id of state.undone) {
    const left = state.tasks.get(`${UNDO}${id}:${state.tasks.get(id)?.round ?? 1}`);
    if (left && isFinal(left.status) && left.status !== "succeeded") {
      state.tasks.set(left.id, fresh(left.id, event.at, left.round));
    }
  }
}

function rolledBack(state: State, event: TalkaEvent): void {
  if (event.then !== "stop") {
    runAgain(state, state.undone, state.resumed, event.to ?? 0, event.at);
    return;
  }
  state.status = "rolled_back";
  state.finishedAt = event.at;
  for (const id of state.undone) {
    const task = state.tasks.get(id);
    if (!task) continue;
    const hasActed = task.hasActed && !state.definitions.get(id)?.is_irreversible;
    task.status = hasActed || task.status === "compensated" ? "compensated" : "cancelled";
  }
}

function restarted(state: State, event: TalkaEvent): void {
  beginAnew(state);
  runAgain(state, (event.tasks ?? []) as string[], event.resumed ?? [], event.version, event.at);
}

function runAgain(state: State, ids: string[], resumedMaps: string[], to: number, at: number): void {
  state.status = "running";
  const again = new Set(ids);
  const kept = new Set(resumedMaps);
  for (const id of ids) {
    const task = state.tasks.get(id);
    if (!task) continue;
    const isDone = task.status === "compensated" || (task.status === "succeeded" && !kept.has(id));
    const round = task.round + Number(isDone && !state.definitions.get(id)?.is_irreversible);
    const next = { ...fresh(id, at, round), attempt: task.attempt };
    state.tasks.set(id, kept.has(id) ? { ...next, status: "waiting", kind: "map" } : next);
  }
  forgetAdditions(state, again, kept, to);
}

function forgetAdditions(state: State, again: Set<string>, kept: Set<string>, to: number): void {
  const before = state.additions;
  state.additions = before.flatMap((addition) => {
    if (kept.has(addition.by)) {
      const tasks = addition.tasks.filter((task) => !again.has(task.id));
      return tasks.length ? [{ ...addition, tasks }] : [];
    }
    const stays = addition.reason === "compensation" || (addition.version <= to && !again.has(addition.by));
    return stays ? [addition] : [];
  });
  const stay = new Set(state.additions.flatMap((addition) => addition.tasks.map((task) => task.id)));
  for (const task of before.flatMap((addition) => addition.tasks)) {
    if (stay.has(task.id)) continue;
    state.retired.set(task.id, state.tasks.get(task.id)?.round ?? 1);
    state.tasks.delete(task.id);
  }
  state.edges = state.edges.filter(([from, target]) => state.tasks.has(from) && state.tasks.has(target));
  state.shape++;
}

const HANDLERS: Record<string, Handler> = {
  TaskReady: ready,
  TaskQueued: queued,
  TaskScheduled: scheduled,
  TaskStarted: become("running"),
  TaskSucceeded: succeeded,
  TaskFailed: failed("failed"),
  TaskTimedOut: failed("timed_out"),
  TaskCancelled: cancelled,
  TaskSkipped: become("skipped"),
  TaskWaiting: waiting,
  TaskRetrying: become("retrying"),
  TaskIterated: become("retrying"),
  TaskAttemptLost: become("ready"),
  TaskFellBack: become("ready"),
  TaskWithdrawn: become("ready"),
  TaskParked: become("waiting"),
  TaskReleased: become("ready"),
  TaskAdopted: adopted,
  TaskUnwanted: (state, event) => touch(state, event, (task) => { task.isUnwanted = true; }),
  AllocationKept: keep,
  AllocationHandedOn: letGo,
  AllocationReleased: letGo,
  AllocationRequestWithdrawn: letGo,
  TasksAdded: added,
  ExtensionRequested: become("waiting"),
  ExecutionStarted: started,
  ExecutionRejected: (state, event) => { stand("rejected")(state, event); state.finishedAt = event.at; },
  ExecutionPaused: stand("paused"),
  ExecutionResumed: resumed,
  ExecutionCancelRequested: (state, event) => { state.reason = event.reason ?? state.reason; },
  ExecutionTimeoutReached: (state) => { state.isTimingOut = true; },
  ExecutionSucceeded: end("succeeded"),
  ExecutionPartlySucceeded: end("partial"),
  ExecutionFailed: end("failed"),
  ExecutionTimedOut: end("timed_out"),
  ExecutionCancelled: end("cancelled"),
  RollbackStarted: rollbackStarted,
  ExecutionRolledBack: rolledBack,
  RollbackFailed: (state, event) => { stand("failed")(state, event); state.finishedAt = event.at; },
  ExecutionRestarted: restarted,
  // Its tasks lie in the archive.
  ExecutionArchived: (state) => { state.tasks.clear(); state.kept.clear(); },
};
