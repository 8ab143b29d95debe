/** What each attempt of each task spent its time on, read off the events; the rows of the timeline. */
import type { TalkaEvent } from "./events";

export type Phase = "queue" | "resource" | "start" | "run" | "retry" | "wait";

export interface Span {
  task: string;
  attempt: number;
  worker: string;
  phase: Phase;
  from: number;
  /** Null while it lasts. */
  to: number | null;
  /** The type of the event that ended it; empty while it lasts. */
  end: string;
}

const OPENS: Record<string, Phase> = {
  TaskReady: "queue",
  TaskQueued: "resource",
  TaskScheduled: "start",
  TaskStarted: "run",
  TaskRetrying: "retry",
  TaskIterated: "retry",
  TaskWaiting: "wait",
  TaskAttemptLost: "queue",
  TaskWithdrawn: "queue",
  TaskReleased: "queue",
  TaskFellBack: "queue",
  TaskParked: "wait",
  ExtensionRequested: "wait",
};

const CLOSES: ReadonlySet<string> = new Set([
  "TaskSucceeded", "TaskFailed", "TaskTimedOut", "TaskCancelled", "TaskSkipped",
]);

/** Return the spans of a log in the order of their beginnings. */
export function spansOf(events: readonly TalkaEvent[]): Span[] {
  const spans: Span[] = [];
  const open = new Map<string, Span>();
  const close = (task: string, at: number, type: string): void => {
    const span = open.get(task);
    if (!span) return;
    span.end = type;
    span.to = Math.max(at, span.from);
    open.delete(task);
  };
  for (const event of events) {
    const task = event.task_id;
    if (task === undefined) continue;
    const phase = OPENS[event.type];
    if (!phase && !CLOSES.has(event.type)) continue;
    const before = open.get(task);
    const at = instant(event, phase);
    close(task, at, event.type);
    if (!phase) continue;
    // Whoever waits for a turn does so for the attempt that comes then.
    if (before?.phase === "queue" && event.attempt) before.attempt = event.attempt;
    const worker = event.worker_id ?? (phase === "run" ? before?.worker ?? "" : "");
    const span: Span = {
      task, attempt: event.attempt ?? before?.attempt ?? 1, worker, phase, from: at, to: null, end: "",
    };
    open.set(task, span);
    spans.push(span);
  }
  return spans;
}

/** Workers say themselves when an attempt began and ended; the event is a little later. */
function instant(event: TalkaEvent, phase: Phase | undefined): number {
  if (phase === "run" && event.started_at) return event.started_at / 1000;
  if (phase !== "run" && event.finished_at) return event.finished_at / 1000;
  return event.at;
}

export interface Row {
  id: string;
  label: string;
  spans: Span[];
  /** How many bars lie above each other, and which of them each span is in. */
  lanes: number;
  laneOf: Map<Span, number>;
}

export function rowsByTask(spans: readonly Span[], label: (task: string) => string): Row[] {
  return rows(spans, (span) => span.task, label);
}

/** Only what a worker holds: it is nobody's before that. */
export function rowsByWorker(spans: readonly Span[]): Row[] {
  const held = spans.filter((span) => span.worker && (span.phase === "run" || span.phase === "start"));
  return rows(held, (span) => span.worker, (worker) => worker).sort((a, b) => a.id.localeCompare(b.id));
}

function rows(spans: readonly Span[], keyOf: (span: Span) => string, label: (key: string) => string): Row[] {
  const found = new Map<string, Span[]>();
  for (const span of spans) {
    const key = keyOf(span);
    const those = found.get(key);
    if (those) those.push(span);
    else found.set(key, [span]);
  }
  return [...found].map(([id, those]) => ({ id, label: label(id), spans: those, ...inLanes(those) }));
}

/** Give each attempt the first lane that is free when it begins. */
function inLanes(spans: readonly Span[]): { lanes: number; laneOf: Map<Span, number> } {
  const ends: { key: string; until: number }[] = [];
  const laneOf = new Map<Span, number>();
  for (const span of [...spans].sort((a, b) => a.from - b.from)) {
    const key = `${span.task} ${span.attempt}`;
    let lane = ends.findIndex((end) => end.key === key || end.until <= span.from + 0.0005);
    if (lane < 0) lane = ends.push({ key, until: 0 }) - 1;
    ends[lane] = { key, until: span.to ?? Infinity };
    laneOf.set(span, lane);
  }
  return { lanes: Math.max(1, ends.length), laneOf };
}
