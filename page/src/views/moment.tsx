/** Who works on what, what that holds, and what waits, at the event that is shown. */
import { type TaskStatus, TASK_STATUSES } from "../model/events";
import type { State, TaskState } from "../model/fold";
import { words } from "../model/format";
import { amountsHeld, heldInWords, sumOf } from "../model/holdings";
import { go } from "../router";
import type { Store } from "../store";
import { Icon } from "./parts";

/** More are counted and not named. */
const NAMED_MAX = 12;

export function Moment({ store }: { store: Store }) {
  const { state } = store.shown.value;
  const byStatus = new Map<TaskStatus, TaskState[]>(TASK_STATUSES.map((status) => [status, []]));
  for (const task of state.tasks.values()) byStatus.get(task.status)!.push(task);
  const kept = new Set([...state.kept.values()].flatMap((id) => state.tasks.get(id) ?? []));
  const those = (...statuses: TaskStatus[]): TaskState[] => statuses.flatMap((status) => byStatus.get(status)!);
  const queue = those("queued", "ready");
  return (
    <div class="moment">
      <section aria-label="Tasks by status">
        <h2>Tasks</h2>
        <ul class="counts">
          {[...byStatus].filter(([, tasks]) => tasks.length).map(([status, tasks]) => (
            <li key={status}><Icon status={status} />{words(status)} <b>{tasks.length}</b></li>
          ))}
        </ul>
      </section>
      <Workers state={state} held={[...new Set([...those("running", "scheduled"), ...kept])]} kept={kept} />
      <section aria-label="Queue">
        <h2>Queue</h2>
        {queue.length ? <Names tasks={queue} /> : <p class="quiet">Nothing waits for resources.</p>}
      </section>
    </div>
  );
}

interface WorkersProps {
  state: State;
  held: readonly TaskState[];
  /** Those that have ended, and left what they held to another that is to come. */
  kept: ReadonlySet<TaskState>;
}

/** Each worker with all that it has allocated to this execution, and what each of its tasks has of that. */
function Workers({ state, held, kept }: WorkersProps) {
  const workers = new Map<string, TaskState[]>();
  for (const task of held) {
    const others = workers.get(task.worker);
    if (others) others.push(task);
    else workers.set(task.worker, [task]);
  }
  const amounts = (task: TaskState) => amountsHeld(state.definitions.get(task.id));
  const says = (task: TaskState): string =>
    [heldInWords(amounts(task)), kept.has(task) ? "kept for another" : ""].filter(Boolean).join(", ");
  return (
    <section aria-label="Workers">
      <h2>Allocations by worker</h2>
      {workers.size === 0 && <p class="quiet">No worker holds anything.</p>}
      <dl>
        {[...workers].sort(([a], [b]) => (a < b ? -1 : 1)).map(([worker, those]) => (
          <div key={worker}>
            <dt><span class="id">{worker}</span> <span>{heldInWords(sumOf(those.map(amounts)))}</span></dt>
            <dd><Names tasks={those} says={says} /></dd>
          </div>
        ))}
      </dl>
    </section>
  );
}

function Names({ tasks, says }: { tasks: readonly TaskState[]; says?: (task: TaskState) => string }) {
  return (
    <span class="names">
      {tasks.slice(0, NAMED_MAX).map((task) => (
        <span key={task.id}>
          <button type="button" class="task" onClick={() => go({ task: task.id })}>
            <Icon status={task.status} />{task.id}
          </button>
          {says?.(task) && <span class="quiet"> {says(task)}</span>}
        </span>
      ))}
      {tasks.length > NAMED_MAX && <span class="quiet">and {tasks.length - NAMED_MAX} more</span>}
    </span>
  );
}
