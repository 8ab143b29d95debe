/** Where the time went: a bar for each stretch of each attempt, by task or by worker. */
import { memo } from "preact/compat";
import { useCallback, useEffect, useMemo, useState } from "preact/hooks";
import type { Segment } from "../model/events";
import { duration, ticks } from "../model/format";
import { inSight, offsetsOf } from "../model/rows";
import { type Row, type Span, rowsByTask, rowsByWorker, spansOf } from "../model/spans";
import { go, route, routed } from "../router";
import { type Store, isOver, now } from "../store";
import { useScrolling } from "./scrolling";

const LANE = 18;
const PADDING = 8;
const PHASES = {
  queue: "waits for its turn", resource: "waits for resources", start: "on its way to the worker", run: "runs",
  failed: "ran, and failed", retry: "pauses before it is tried again", wait: "waits, and holds nothing",
};

export function TimelineView({ store }: { store: Store }) {
  const [by, setBy] = useState<"task" | "worker">("task");
  const [zoom, setZoom] = useState(1);
  const { count, state } = store.shown.value;
  const latest = store.now.value.state;
  useEffect(() => { void store.trace(); }, [store]);
  const spans = useMemo(() => spansOf(store.events), [store.count.value]);
  const rows = useMemo(
    () => (by === "task" ? rowsByTask(spans, (task) => task) : rowsByWorker(spans)), [spans, by],
  );
  const begin = latest.startedAt ?? store.events[0]?.at ?? 0;
  const end = Math.max(begin + 0.001, isOver(latest) ? latest.at : Math.max(latest.at, now.value));
  const { box, top, height, width } = useScrolling();
  const label = width < 560 ? 96 : 150;
  const chart = Math.max(120, width - label - 16) * zoom;
  const x = useCallback((instant: number): number => ((instant - begin) / (end - begin)) * chart, [begin, end, chart]);
  const offsets = useMemo(() => offsetsOf(rows.map((row) => row.lanes * LANE + PADDING)), [rows]);
  const [first, last] = inSight(offsets, top, height);
  const whole = offsets[offsets.length - 1]!;
  const critical = useMemo(() => byTask(store.critical.value), [store.critical.value]);
  return (
    <div class="timeline">
      <div class="tools">
        <div role="group" aria-label="Rows">
          <button type="button" aria-pressed={by === "task"} onClick={() => setBy("task")}>By task</button>
          <button type="button" aria-pressed={by === "worker"} onClick={() => setBy("worker")}>By worker</button>
        </div>
        <div role="group" aria-label="Zoom">
          <button type="button" aria-label="Shorter" onClick={() => setZoom(Math.max(1, zoom / 2))}>−</button>
          <button type="button" aria-label="Longer" onClick={() => setZoom(Math.min(64, zoom * 2))}>+</button>
        </div>
        <Legend hasCritical={critical.size > 0} />
      </div>
      <div class="scroll" ref={box} tabIndex={0} role="region" aria-label={`Timeline by ${by}`}>
        <div class="axis" style={{ width: `${label + chart + 16}px` }} aria-hidden="true">
          {ticks(end - begin, chart / 110).map((tick) => (
            <span key={tick} style={{ left: `${label + x(begin + tick)}px` }}>{tick === 0 ? "0" : duration(tick).replace(".0 ", " ")}</span>
          ))}
        </div>
        <ul class="space" style={{ height: `${whole}px`, width: `${label + chart + 16}px` }}>
          {rows.slice(first, last).map((row, index) => (
            <RowView
              key={row.id} row={row} top={offsets[first + index]!} label={label} chart={chart} x={x} end={end}
              critical={critical} isByTask={by === "task"}
            />
          ))}
          {route.value.at !== null && count > 0 && (
            <li class="cursor" aria-hidden="true" style={{ left: `${label + x(Math.max(begin, state.at))}px`, height: `${whole}px` }} />
          )}
        </ul>
      </div>
    </div>
  );
}

interface RowProps {
  row: Row;
  top: number;
  label: number;
  chart: number;
  x: (instant: number) => number;
  end: number;
  critical: Map<string, Segment[]>;
  isByTask: boolean;
}

/** A step of the slider moves only the cursor; one row by worker may have thousands of bars. */
const RowView = memo(({ row, top, label, chart, x, end, critical, isByTask }: RowProps) => {
  const height = row.lanes * LANE + PADDING;
  const said = `${row.label}: ${sums(row.spans, end)}`;
  const isSelected = isByTask && routed.task.value === row.id;
  return (
    <li class={isSelected ? "line selected" : "line"} style={{ top: `${top}px`, height: `${height}px` }}>
      {isByTask
        ? <button type="button" class="label" style={{ width: `${label}px` }} aria-label={said} onClick={() => go({ task: row.id })}>{row.label}</button>
        : <span class="label" style={{ width: `${label}px` }}>{row.label}</span>}
      <svg width={chart + 2} height={height} role="img" aria-label={said}>
        {row.spans.map((span, index) => {
          const y = PADDING / 2 + row.laneOf.get(span)! * LANE;
          const from = x(span.from);
          const wide = Math.max(1.5, x(span.to ?? end) - from);
          const isCritical = span.phase === "run" && critical.has(span.task);
          return (
            <g key={index} data-task={span.task} onClick={() => go({ task: span.task })}>
              <title>{`${span.task}, attempt ${span.attempt}: ${PHASES[phaseOf(span)]} for ${duration((span.to ?? end) - span.from)}`}</title>
              <rect class={`bar p-${phaseOf(span)}`} x={from} y={y + 2} width={wide} height={LANE - 6} rx="2" />
              {isCritical && <rect class="critical" x={from} y={y + LANE - 4} width={wide} height="3" rx="1.5" />}
              {!isByTask && span.phase === "run" && wide > 40 && <text x={from + 5} y={y + 12} class="on-bar">{span.task.slice(0, Math.floor(wide / 8))}</text>}
            </g>
          );
        })}
      </svg>
    </li>
  );
});

function Legend({ hasCritical }: { hasCritical: boolean }) {
  const names = { queue: "turn", resource: "resources", start: "dispatch", run: "run", failed: "failed", retry: "retry", wait: "wait" };
  return (
    <ul class="legend" aria-label="Legend">
      {Object.entries(names).map(([phase, name]) => (
        <li key={phase}><svg width="14" height="10" aria-hidden="true"><rect class={`bar p-${phase}`} width="14" height="10" rx="2" /></svg>{name}</li>
      ))}
      {hasCritical && <li><svg width="14" height="10" aria-hidden="true"><rect class="critical" y="6" width="14" height="3" rx="1.5" /></svg>critical path</li>}
    </ul>
  );
}

function phaseOf(span: Span): keyof typeof PHASES {
  const hasFailed = span.phase === "run" && ["TaskFailed", "TaskTimedOut", "TaskRetrying", "TaskAttemptLost"].includes(span.end);
  return hasFailed ? "failed" : span.phase;
}

function sums(spans: readonly Span[], end: number): string {
  const found = new Map<string, number>();
  for (const span of spans) {
    const phase = PHASES[phaseOf(span)];
    found.set(phase, (found.get(phase) ?? 0) + (span.to ?? end) - span.from);
  }
  return [...found].map(([phase, seconds]) => `${phase} ${duration(seconds)}`).join(", ");
}

function byTask(segments: readonly Segment[]): Map<string, Segment[]> {
  const found = new Map<string, Segment[]>();
  for (const segment of segments) {
    if (segment.task_id && segment.spent_on === "compute") found.set(segment.task_id, [...(found.get(segment.task_id) ?? []), segment]);
  }
  return found;
}
