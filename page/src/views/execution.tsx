/** One execution: where it stands, what can be done about it, and its views. */
import { useEffect } from "preact/hooks";
import { duration } from "../model/format";
import { isFinal } from "../model/fold";
import { TABS, type Tab, go, route } from "../router";
import { type Store, isOver, now } from "../store";
import { Actions } from "./actions";
import { Expected } from "./eta";
import { GraphView } from "./graph";
import { LogView } from "./log";
import { Moment } from "./moment";
import { Badge, Link, Problem, Progress } from "./parts";
import { Slider } from "./slider";
import { TaskPanel } from "./task";
import { TimelineView } from "./timeline";

const NAMES: Record<Tab, string> = { graph: "Graph", timeline: "Timeline", events: "Events" };

export function ExecutionView({ store }: { store: Store }) {
  const { tab, task } = route.value;
  const error = store.error.value;
  if (!store.count.value) {
    return error ? <Problem error={error} /> : <p class="nothing" role="status">Reading {store.expected.value ?? ""} events…</p>;
  }
  return (
    <div class={task === null ? "execution" : "execution with-task"}>
      <Head store={store} />
      <Slider store={store} />
      {store.missing.value && <p role="alert" class="error">{store.missing.value}</p>}
      <Tabs tab={tab} />
      <div class="body">
        <section role="tabpanel" id="panel" aria-labelledby={`tab-${tab}`}>
          {tab === "graph" && <GraphView store={store} />}
          {tab === "timeline" && <TimelineView store={store} />}
          {tab === "events" && <LogView store={store} />}
          {tab !== "events" && <Moment state={store.shown.value.state} />}
        </section>
        {task !== null && <TaskPanel key={task} store={store} id={task} />}
      </div>
    </div>
  );
}

function Head({ store }: { store: Store }) {
  const { state } = store.now.value;
  const tasks = [...state.tasks.values()];
  const elapsed = state.startedAt === null
    ? null : (state.finishedAt ?? Math.max(state.at, now.value)) - state.startedAt;
  const name = state.name || store.id;
  useEffect(() => { document.title = `${name} · ${state.status} · Talka`; }, [name, state.status]);
  const link = { connecting: "connecting…", live: "live", lost: "connection lost, trying again", over: "" }[store.link.value];
  return (
    <div class="head">
      <p class="crumb"><Link to={{ execution: null, task: null, at: null, tab: "graph" }}>Executions</Link> <span aria-hidden="true">/</span> <span class="id">{store.id}</span></p>
      <div class="heading">
        <h1>{name}</h1>
        <Badge status={state.status} />
        {link && <span class={`link ${store.link.value}`} role="status">{link}</span>}
        <Actions store={store} />
      </div>
      <div class="facts">
        <Progress done={tasks.filter((each) => isFinal(each.status)).length} total={tasks.length} status={state.status} />
        {elapsed !== null && <span>{isOver(state) ? "took" : "for"} {duration(elapsed)}</span>}
        <Expected store={store} />
        {state.reason && <span>{state.reason}</span>}
      </div>
    </div>
  );
}

function Tabs({ tab }: { tab: Tab }) {
  const onKeyDown = (event: KeyboardEvent): void => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    // The next key may come before the page is drawn again.
    const to = TABS[(TABS.indexOf(route.value.tab) + step + TABS.length) % TABS.length]!;
    go({ tab: to }, true);
    document.getElementById(`tab-${to}`)?.focus();
  };
  return (
    <div class="tabs" role="tablist" aria-label="Views" onKeyDown={onKeyDown}>
      {TABS.map((each) => (
        <button
          key={each} id={`tab-${each}`} type="button" role="tab" aria-selected={each === tab} aria-controls="panel"
          tabIndex={each === tab ? 0 : -1} onClick={() => go({ tab: each })}
        >
          {NAMES[each]}
        </button>
      ))}
    </div>
  );
}
