/** Who works on what, and what waits, at the event that is shown. */
import { TASK_STATUSES } from "../model/events";
import type { TaskState } from "../model/fold";
import { words } from "../model/format";
import { go } from "../router";
import type { Store } from "../store";
import { Icon } from "./parts";

/** More are counted and not named. */
const NAMED_MAX = 12;

export function Moment({ store }: { store: Store }) {
  const { state } = store.shown.value;
  const tasks = [...state.tasks.values()];
  const held = tasks.filter((task) => task.status === "running" || task.status === "scheduled");
  const workers = new Map<string, TaskState[]>();
  for (const task of held) workers.set(task.worker, [...(workers.get(task.worker) ?? []), task]);
  const queue = tasks.filter((task) => task.status === "queued" || task.status === "ready");
  const counts = TASK_STATUSES.map((status) => [status, tasks.filter((task) => task.status === status).length] as const);
  return (
    <div class="moment">
      <section aria-label="Tasks by status">
        <h2>Tasks</h2>
        <ul class="counts">
          {counts.filter(([, count]) => count).map(([status, count]) => (
            <li key={status}><Icon status={status} />{words(status)} <b>{count}</b></li>
          ))}
        </ul>
      </section>
      <section aria-label="Workers">
        <h2>Allocations by worker</h2>
        {workers.size === 0 && <p class="quiet">No worker holds anything.</p>}
        <dl>
          {[...workers].sort(([a], [b]) => (a < b ? -1 : 1)).map(([worker, those]) => (
            <div key={worker}><dt class="id">{worker}</dt><dd><Names tasks={those} /></dd></div>
          ))}
        </dl>
      </section>
      <section aria-label="Queue">
        <h2>Queue</h2>
        {queue.length ? <Names tasks={queue} /> : <p class="quiet">Nothing waits for resources.</p>}
      </section>
    </div>
  );
}

function Names({ tasks }: { tasks: TaskState[] }) {
  return (
    <span class="names">
      {tasks.slice(0, NAMED_MAX).map((task) => (
        <button key={task.id} type="button" class="task" onClick={() => go({ task: task.id })}>
          <Icon status={task.status} />{task.id}
        </button>
      ))}
      {tasks.length > NAMED_MAX && <span class="quiet">and {tasks.length - NAMED_MAX} more</span>}
    </span>
  );
}
