/** One task: how it stands, why it waits, its attempts, and what came of it. */
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { api } from "../api";
import type { Explanation, TaskDetail } from "../model/events";
import { isFinal } from "../model/fold";
import { clock, duration, words } from "../model/format";
import { type Span, spansOf } from "../model/spans";
import { go, route } from "../router";
import { type Store, now } from "../store";
import { Restart } from "./actions";
import { Badge, Said } from "./parts";
import { Answer } from "./question";
import { TaskLog } from "./tasklog";

/** How often it is asked again when a task will start: that moves on with the clock alone. */
const AGAIN_MS = 5000;

export function TaskPanel({ store, id }: { store: Store; id: string }) {
  const { state, count } = store.shown.value;
  const latest = store.now.value.state;
  const task = state.tasks.get(id);
  const definition = latest.definitions.get(id);
  const title = useRef<HTMLHeadingElement>(null);
  useEffect(() => title.current?.focus(), []);
  const close = (): void => {
    go({ task: null });
    document.querySelector<HTMLElement>(`[data-task="${CSS.escape(id)}"][tabindex]`)?.focus();
  };
  const spans = useMemo(() => spansOf(store.events.slice(0, count).filter((event) => event.task_id === id)), [count, id]);
  return (
    <aside class="task-panel" aria-label={`Task ${id}`} onKeyDown={(event) => { if (event.key === "Escape") close(); }}>
      <div class="heading">
        <h2 ref={title} tabIndex={-1}>{id}</h2>
        <button type="button" aria-label="Close the task" onClick={close}>✕</button>
      </div>
      {definition?.name && <p>{definition.name}</p>}
      <p class="facts">
        {task ? <Badge status={task.status} /> : <span class="quiet">not there at this event</span>}
        {definition && <span class="id">{definition.agent_type}</span>}
        {task?.worker && <span>on <span class="id">{task.worker}</span></span>}
      </p>
      {route.value.at === null && task?.status === "waiting" && <Answer store={store} id={id} />}
      {route.value.at === null && task && !isFinal(task.status) && <Why store={store} id={id} />}
      <Attempts spans={spans} />
      {route.value.at === null && <Outcome store={store} id={id} />}
      {spans.length > 0 && <TaskLog execution={store.id} task={id} attempts={Math.max(...spans.map((span) => span.attempt))} />}
      {route.value.at === null && task && isFinal(task.status) && <Restart store={store} task={id} />}
      {latest.edges.length > 0 && <Neighbours store={store} id={id} />}
      {definition?.payload !== undefined && <Value title="Payload" value={definition.payload} />}
    </aside>
  );
}

/** When it is expected to start, and what keeps it from that; asked again whenever something happened, and as time passes. */
function Why({ store, id }: { store: Store; id: string }) {
  const [said, say] = useState<Explanation | null>(null);
  const [failure, fail] = useState("");
  const version = store.now.value.state.version;
  useEffect(() => {
    let isStale = false;
    let timer: ReturnType<typeof setTimeout>;
    const again = (): void => {
      api.explanation(store.id, id).then(
        (found) => {
          if (isStale) return;
          say(found);
          fail("");
          if (found.starts_at !== null) timer = setTimeout(again, AGAIN_MS);
        },
        (error: Error) => {
          if (isStale) return;
          fail(error.message);
          timer = setTimeout(again, AGAIN_MS);
        },
      );
    };
    timer = setTimeout(again, said ? 300 : 0);
    return () => { isStale = true; clearTimeout(timer); };
  }, [id, version]);
  if (failure) return <Unknown what="why it waits" reason={failure} />;
  if (!said) return null;
  return (
    <>
      {said.expectation && (
        <section class="why" aria-label="Start">
          <h3>Start</h3>
          <p>{said.expectation} {said.starts_at !== null && <span class="quiet">That is at <time>{clock(said.starts_at).slice(0, "00:00:00".length)}</time>.</span>}</p>
        </section>
      )}
      <section class="why" aria-label="Why">
        <h3>Why</h3>
        <ul>{said.causes.map((cause) => <li key={cause.sentence}>{cause.sentence} {cause.remedy && <span class="quiet"><Said text={cause.remedy} /></span>}</li>)}</ul>
      </section>
    </>
  );
}

function Unknown({ what, reason }: { what: string; reason: string }) {
  return <p role="alert" class="error">It cannot be told {what}: {reason}</p>;
}

function Attempts({ spans }: { spans: readonly Span[] }) {
  const attempts = useMemo(() => {
    const found = new Map<number, Span[]>();
    for (const span of spans) found.set(span.attempt, [...(found.get(span.attempt) ?? []), span]);
    return [...found];
  }, [spans]);
  if (!attempts.length) return null;
  const sum = (those: Span[], phases: readonly string[]): string => {
    const some = those.filter((span) => phases.includes(span.phase));
    return some.length ? duration(some.reduce((all, span) => all + (span.to ?? now.value) - span.from, 0)) : "–";
  };
  return (
    <section aria-label="Attempts">
      <h3>Attempts</h3>
      <table>
        <thead><tr><th scope="col">no.</th><th scope="col">waited</th><th scope="col">ran</th><th scope="col">worker</th><th scope="col">end</th></tr></thead>
        <tbody>
          {attempts.map(([attempt, those]) => (
            <tr key={attempt}>
              <td>{attempt}</td>
              <td>{sum(those, ["queue", "resource", "start", "wait"])}</td>
              <td>{sum(those, ["run"])}</td>
              <td class="id">{those.find((span) => span.worker)?.worker ?? "–"}</td>
              <td>{endOf(those)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}

function endOf(spans: readonly Span[]): string {
  const last = spans.filter((span) => span.phase !== "retry").at(-1)?.end ?? "";
  return words(last.replace(/^Task/, "").replace(/([a-z])([A-Z])/g, "$1_$2").toLowerCase()) || "–";
}

/** What came of it, or what went wrong, and what it was given: large values are fetched only when they are asked for. */
function Outcome({ store, id }: { store: Store; id: string }) {
  const [found, keep] = useState<TaskDetail | null>(null);
  const [failure, fail] = useState("");
  const status = store.now.value.state.tasks.get(id)?.status;
  useEffect(() => {
    let isStale = false;
    api.task(store.id, id).then(
      (task) => { if (!isStale) { keep(task); fail(""); } },
      (error: Error) => { if (!isStale) fail(error.message); },
    );
    return () => { isStale = true; };
  }, [id, status]);
  if (failure) return <Unknown what="what came of it" reason={failure} />;
  if (!found) return null;
  const { task: { error, result }, inputs } = found;
  return (
    <>
      {error && (
        <section class="why" aria-label="Error">
          <h3>Error</h3>
          <p><span class="id">{error.code}</span> {error.message}</p>
          {error.detail && <pre tabIndex={0}>{error.detail}</pre>}
        </section>
      )}
      {!error && result !== undefined && result !== null && <Value title="Result" value={result} />}
      {Object.keys(inputs).length > 0 && <Value title="Inputs" value={inputs} />}
    </>
  );
}

function Neighbours({ store, id }: { store: Store; id: string }) {
  const { edges } = store.now.value.state;
  const sides: [string, string[]][] = [
    ["Needs", edges.filter(([, to]) => to === id).map(([from]) => from)],
    ["Needed by", edges.filter(([from]) => from === id).map(([, to]) => to)],
  ];
  return (
    <section aria-label="Dependencies" class="sides">
      {sides.filter(([, tasks]) => tasks.length).map(([title, tasks]) => (
        <div key={title}>
          <h3>{title}</h3>
          <span class="names">{[...new Set(tasks)].map((each) => <button key={each} type="button" class="task" onClick={() => go({ task: each })}>{each}</button>)}</span>
        </div>
      ))}
    </section>
  );
}

function Value({ title, value }: { title: string; value: unknown }) {
  return (
    <section aria-label={title}>
      <h3>{title}</h3>
      <pre tabIndex={0}>{typeof value === "string" ? value : JSON.stringify(value, null, 2)}</pre>
    </section>
  );
}
