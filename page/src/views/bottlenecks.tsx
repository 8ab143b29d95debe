/** Where the time of an execution went, and what would have saved some of it. */
import { useMemo } from "preact/hooks";
import { api } from "../api";
import type { Segment } from "../model/events";
import { duration } from "../model/format";
import type { Bottlenecks } from "../model/insight";
import { go } from "../router";
import { type Store, isOver } from "../store";
import { useAsked } from "./asking";
import { Problem } from "./parts";

/** What each kind of time is called, and the colour it has in the timeline, too. */
const KINDS: Record<string, [name: string, colour: string]> = {
  compute: ["running", "run"], queue: ["waiting for its turn", "queue"], resource: ["waiting for resources", "resource"],
  retry: ["failed attempts and pauses", "failed"], transfer: ["on its way to the worker", "start"],
  wait: ["waiting for people, time or signals", "wait"], overhead: ["deciding", "overhead"],
  paused: ["paused", "retry"], undone: ["undone", "undone"],
};

export function BottlenecksView({ store }: { store: Store }) {
  const { state } = store.now.value;
  const of = [store.id, state.status];
  const path = useAsked(() => api.bottlenecks(store.id, false), of);
  const whole = useAsked(() => api.bottlenecks(store.id, true), of);
  const found = whole.found ?? path.found;
  const error = whole.error ?? path.error;
  if (error && !found) return <Problem error={error} />;
  if (!found) return <p class="nothing" role="status">Finding the critical path…</p>;
  return (
    <div class="bottlenecks">
      <Totals found={found} isOver={isOver(state)} />
      <Path found={found} />
      {whole.isBusy && <p class="quiet" role="status">Simulating what would have saved time…</p>}
      {found.note && <p>{found.note}</p>}
      {found.simulated_ms !== null && <Alternatives found={found} />}
    </div>
  );
}

function Totals({ found, isOver: isDone }: { found: Bottlenecks; isOver: boolean }) {
  const totals = Object.entries(found.totals_ms).sort(([, a], [, b]) => b - a);
  return (
    <section aria-label="Where the time went">
      <h2>Where the time went</h2>
      <p class="quiet">The critical path as it was really taken: what it was waited for last, back from {isDone ? "the end" : "now"}. In all {duration(found.makespan_ms / 1000)}.</p>
      <div class="shares" aria-hidden="true">
        {totals.map(([kind, ms]) => <span key={kind} class={`b-${colourOf(kind)}`} style={{ flexGrow: String(ms) }} />)}
      </div>
      <ul class="legend">
        {totals.map(([kind, ms]) => (
          <li key={kind}><i class={`b-${colourOf(kind)}`} />{KINDS[kind]?.[0] ?? kind} <b>{duration(ms / 1000)}</b> <span>{share(ms, found.makespan_ms)}</span></li>
        ))}
      </ul>
    </section>
  );
}

/** The path task by task, each bar where it was in the whole. */
function Path({ found }: { found: Bottlenecks }) {
  const groups = useMemo(() => grouped(found.segments), [found]);
  return (
    <section aria-label="Critical path">
      <h2>Critical path</h2>
      <div class="scroll" tabIndex={0} role="region" aria-label="Critical path, task by task">
        <ol class="path">
          {groups.map(([task, segments], index) => (
            <li key={index}>
              {task ? <button type="button" class="task" onClick={() => go({ task })}>{task}</button> : <span class="quiet">the execution</span>}
              <span class="track" aria-hidden="true">
                {segments.map((each, place) => (
                  <i
                    key={place} class={`b-${colourOf(each.spent_on)}`}
                    style={{ left: share(each.began_ms, found.makespan_ms, 3), width: share(each.took_ms, found.makespan_ms, 3) }}
                  />
                ))}
              </span>
              <span class="figures">{segments.map((each) => `${KINDS[each.spent_on]?.[0] ?? each.spent_on} ${duration(each.took_ms / 1000)}`).join(", ")}</span>
            </li>
          ))}
        </ol>
      </div>
    </section>
  );
}

function Alternatives({ found }: { found: Bottlenecks }) {
  return (
    <section aria-label="What would have saved time">
      <h2>What would have saved time</h2>
      <p class="quiet">Simulated with measured run times and one thing changed; as it was, the simulation takes {duration(found.simulated_ms! / 1000)}.</p>
      {found.alternatives.length === 0 && <p>No single change would have made it shorter.</p>}
      {found.alternatives.length > 0 && (
        <table class="figures-table">
          <thead><tr><th scope="col">Change</th><th scope="col">Takes</th><th scope="col">Saves</th></tr></thead>
          <tbody>
            {found.alternatives.map((each) => (
              <tr key={each.change}>
                <td>{each.change}</td><td>{duration(each.makespan_ms / 1000)}</td>
                <td>{duration(each.saves_ms / 1000)} <span class="quiet">{share(each.saves_ms, found.simulated_ms!)}</span></td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </section>
  );
}

function grouped(segments: readonly Segment[]): [string, Segment[]][] {
  const found: [string, Segment[]][] = [];
  for (const segment of segments) {
    const last = found.at(-1);
    if (last?.[0] === segment.task_id) last[1].push(segment);
    else found.push([segment.task_id, [segment]]);
  }
  return found;
}

function colourOf(kind: string): string {
  return KINDS[kind]?.[1] ?? "overhead";
}

function share(part: number, whole: number, digits = 0): string {
  return `${((100 * part) / Math.max(1, whole)).toFixed(digits)}%`;
}
