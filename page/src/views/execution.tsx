/** One execution: where it stands, what can be done about it, and its views. */
import { useEffect } from "preact/hooks";
import { duration } from "../model/format";
import { isFinal } from "../model/fold";
import { HOME, TABS, type Tab, go, routed } from "../router";
import { type Store, isOver, now } from "../store";
import { Refusal, refusalFor } from "./act";
import { Actions } from "./actions";
import { BottlenecksView } from "./bottlenecks";
import { CompareView } from "./compare";
import { Expected } from "./eta";
import { GraphView } from "./graph";
import { LogView } from "./log";
import { Moment } from "./moment";
import { Badge, Link, Problem, Progress } from "./parts";
import { ResourcesView } from "./resources";
import { Slider } from "./slider";
import { TaskPanel } from "./task";
import { TimelineView } from "./timeline";
import { WhatIfView } from "./whatif";

const NAMES: Record<Tab, string> = {
  graph: "Graph", timeline: "Timeline", resources: "Resources", bottlenecks: "Bottlenecks", "what-if": "What if", compare: "Compare", events: "Events",
};
const VIEWS = {
  graph: GraphView, timeline: TimelineView, resources: ResourcesView, bottlenecks: BottlenecksView, "what-if": WhatIfView, compare: CompareView,
  events: LogView,
} satisfies Record<Tab, unknown>;
/** Where it is shown, too, what was going on at the event of the slider. */
const WITH_MOMENT: ReadonlySet<Tab> = new Set(["graph", "timeline", "resources"]);

export function ExecutionView({ store }: { store: Store }) {
  const [tab, task] = [routed.tab.value, routed.task.value];
  const Shown = VIEWS[tab];
  if (!store.count.value) return <Absent store={store} />;
  return (
    <div class={task === null ? "execution" : "execution with-task"}>
      <Head store={store} />
      <Slider store={store} />
      {store.missing.value && <p role="alert" class="error">{store.missing.value}</p>}
      <Tabs tab={tab} />
      <div class="body">
        <section role="tabpanel" id="panel" aria-labelledby={`tab-${tab}`}>
          <Shown key={tab} store={store} />
          {WITH_MOMENT.has(tab) && <Moment store={store} />}
        </section>
        {task !== null && <TaskPanel key={task} store={store} id={task} />}
      </div>
    </div>
  );
}

/** What is there before the first event is, or instead of it: where one is, and the way back. */
function Absent({ store }: { store: Store }) {
  const error = store.error.value;
  return (
    <div class="head">
      <Crumb />
      <h1>{store.id}</h1>
      {error ? <Problem error={error} /> : <p class="nothing" role="status">Reading {store.expected.value ?? ""} events…</p>}
    </div>
  );
}

function Crumb({ id = "" }: { id?: string }) {
  return <p class="crumb"><Link to={HOME}>Executions</Link> <span aria-hidden="true">/</span> {id && <span class="id">{id}</span>}</p>;
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
      <Crumb id={store.id} />
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
      <Refusal reason={refusalFor(store)} />
    </div>
  );
}

function Tabs({ tab }: { tab: Tab }) {
  // On a phone not all of them are in sight.
  useEffect(() => document.getElementById(`tab-${tab}`)?.scrollIntoView({ block: "nearest", inline: "nearest" }), [tab]);
  const onKeyDown = (event: KeyboardEvent): void => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    // The next key may come before the page is drawn again.
    const to = TABS[(TABS.indexOf(routed.tab.value) + step + TABS.length) % TABS.length]!;
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
