/** Two executions side by side: where they part, what came of them, and where the time of each went. */
import { useMemo, useState } from "preact/hooks";
import { api } from "../api";
import type { Execution } from "../model/events";
import { ago, duration, summary, words } from "../model/format";
import type { Comparison } from "../model/insight";
import { pairsOfSpent } from "../model/pairs";
import { HOME, go, route } from "../router";
import { type Store, now } from "../store";
import { useAsked } from "./asking";
import { PairsView } from "./pairs";
import { Badge, Link, Problem } from "./parts";

export function CompareView({ store }: { store: Store }) {
  const other = route.value.other;
  return (
    <div class="compare">
      <Choice store={store} other={other} />
      {other === null ? <p class="nothing">Choose an execution to compare this one with.</p> : <Both key={other} store={store} other={other} />}
    </div>
  );
}

/** Executions of the same workflow are offered; any other is named by its id. */
function Choice({ store, other }: { store: Store; other: string | null }) {
  const [id, write] = useState(other ?? "");
  const name = store.now.value.state.name;
  const { found } = useAsked(async () => (await api.list(new URLSearchParams({ name, limit: "100" }))).executions, [name]);
  const offered = (found ?? []).filter((each) => each.execution_id !== store.id);
  const submit = (event: Event): void => {
    event.preventDefault();
    if (id.trim()) go({ other: id.trim() });
  };
  return (
    <form class="wish" aria-label="Compare with" onSubmit={submit}>
      {offered.length > 0 && (
        <label>The same workflow
          <select value={offered.some((each) => each.execution_id === other) ? other! : ""} onChange={(event) => { write(event.currentTarget.value); go({ other: event.currentTarget.value || null }); }}>
            <option value="">choose…</option>
            {offered.map((each) => <option key={each.execution_id} value={each.execution_id}>{each.execution_id} · {words(each.status)} · {ago(each.accepted_at ?? 0, now.value)}</option>)}
          </select>
        </label>
      )}
      <label>Or any, by its id <input value={id} autocapitalize="off" spellcheck={false} onInput={(event) => write(event.currentTarget.value)} /></label>
      <button class="primary">Compare</button>
    </form>
  );
}

function Both({ store, other }: { store: Store; other: string }) {
  const { status } = store.now.value.state;
  const { found, error } = useAsked(
    () => Promise.all([api.compare(store.id, other), api.execution(store.id), api.execution(other)]), [other, status],
  );
  if (error) return <Problem error={error} />;
  if (!found) return <p class="nothing" role="status">Comparing…</p>;
  return <Found comparison={found[0]} first={found[1]} second={found[2]} />;
}

function Found({ comparison, first, second }: { comparison: Comparison; first: Execution; second: Execution }) {
  const pairs = useMemo(() => pairsOfSpent(comparison.spent), [comparison]);
  return (
    <>
      <table class="figures-table">
        <thead><tr><th scope="col"><span class="quiet">Execution</span></th><th scope="col" class="id">{first.execution_id}</th><th scope="col"><Link to={{ ...HOME, execution: second.execution_id }} class="id">{second.execution_id}</Link></th></tr></thead>
        <tbody>
          <Fact name="Workflow" of={(each) => each.name} first={first} second={second} />
          <tr><th scope="row">Status</th><td><Badge status={first.status} /></td><td><Badge status={second.status} /></td></tr>
          <Fact name="Took" of={took} first={first} second={second} />
          <Fact name="Tasks over" of={(each) => `${each.done} of ${each.total}`} first={first} second={second} />
          <Fact name="Events" of={(each) => String(each.version)} first={first} second={second} />
          <Parting found={comparison} second={second} />
        </tbody>
      </table>
      <Differences found={comparison} />
      {pairs.length === 0 ? <p>No task ran in both.</p> : <PairsView pairs={pairs} names={["this one", "the other"]} title="Waited and ran" />}
    </>
  );
}

function Fact({ name, of, first, second }: { name: string; of: (each: Execution) => string; first: Execution; second: Execution }) {
  return <tr><th scope="row">{name}</th><td>{of(first)}</td><td>{of(second)}</td></tr>;
}

function took({ started_at: started, finished_at: finished }: Execution): string {
  if (started === null) return "–";
  return finished === null ? `${duration(Math.max(0, now.value - started))} so far` : duration(finished - started);
}

/** The first events that differ; each leads to its execution as it was then. */
function Parting({ found, second }: { found: Comparison; second: Execution }) {
  const { parting } = found;
  if (!parting) return <tr><th scope="row">They part</th><td colSpan={2}>nowhere: the same events, but for times, workers and allocations</td></tr>;
  return (
    <tr>
      <th scope="row">They part at</th>
      <td>{parting.first_event ? <Link to={{ tab: "events", at: parting.first_version }}>event {parting.first_version}</Link> : "its end"} <Said event={parting.first_event} /></td>
      <td>{parting.second_event ? <Link to={{ ...HOME, execution: second.execution_id, tab: "events", at: parting.second_version }}>event {parting.second_version}</Link> : "its end"} <Said event={parting.second_event} /></td>
    </tr>
  );
}

function Said({ event }: { event: Record<string, unknown> | null }) {
  if (!event) return null;
  return <span class="quiet">{[event["type"], event["task_id"], summary(event)].filter(Boolean).map(String).join(" · ").slice(0, 160)}</span>;
}

function Differences({ found }: { found: Comparison }) {
  const lists: [string, string[]][] = [
    ["Only in this one", found.removed],
    ["Only in the other", found.added],
    ["Other results", found.results],
    ["Other definitions", Object.entries(found.changed).map(([task, fields]) => `${task} (${fields.join(", ")})`)],
  ];
  const some = lists.filter(([, tasks]) => tasks.length);
  if (!some.length) return <p>All tasks have the same definitions and the same outcomes in both.</p>;
  return (
    <dl class="plan" aria-label="Differences">
      {some.map(([what, tasks]) => <div key={what}><dt>{what}</dt><dd>{tasks.slice(0, 40).join(", ")}{tasks.length > 40 && ` and ${tasks.length - 40} more`}</dd></div>)}
    </dl>
  );
}
