/** The tasks of two runs, each with a bar of both, on one axis. */
import { useMemo } from "preact/hooks";
import { duration, ticks } from "../model/format";
import { type Bar, type Pair, endOf } from "../model/pairs";
import { inSight, offsetsOf } from "../model/rows";
import { go } from "../router";
import { useScrolling } from "./scrolling";

const ROW = 30;
const BAR = 9;

interface Props {
  pairs: readonly Pair[];
  /** What the bars above and below are called. */
  names: readonly [string, string];
  title: string;
}

export function PairsView({ pairs, names, title }: Props) {
  const { box, top, height, width } = useScrolling();
  const end = useMemo(() => Math.max(0.001, ...pairs.map((pair) => Math.max(endOf(pair.first), endOf(pair.second)))), [pairs]);
  const offsets = useMemo(() => offsetsOf(pairs.map(() => ROW)), [pairs]);
  const label = width < 560 ? 96 : 150;
  const chart = Math.max(120, width - label - 16);
  const [first, last] = inSight(offsets, top, height);
  const x = (seconds: number): number => (seconds / end) * chart;
  return (
    <section class="pairs" aria-label={title}>
      <ul class="legend" aria-label="Legend">
        <Key kind="first" name={names[0]} /><Key kind="second" name={names[1]} /><Key kind="wait" name="waits" />
      </ul>
      <div class="scroll" ref={box} tabIndex={0} role="region" aria-label={`${title}, task by task`}>
        <div class="axis" aria-hidden="true">
          {ticks(end, chart / 110).map((tick) => <span key={tick} style={{ left: `${label + x(tick)}px` }}>{tick === 0 ? "0" : duration(tick).replace(".0 ", " ")}</span>)}
        </div>
        <ul class="space" style={{ height: `${offsets.at(-1)!}px` }}>
          {pairs.slice(first, last).map((pair, index) => {
            const said = `${pair.task}: ${saidOf(names[0], pair.first)}; ${saidOf(names[1], pair.second)}`;
            return (
              <li key={pair.task} class="line" style={{ top: `${offsets[first + index]!}px`, height: `${ROW}px` }}>
                <button type="button" class="label" style={{ width: `${label}px` }} aria-label={said} title={said} onClick={() => go({ task: pair.task })}>{pair.task}</button>
                <svg width={chart + 2} height={ROW} aria-hidden="true">
                  <Bars bar={pair.first} y={5} x={x} kind="first" />
                  <Bars bar={pair.second} y={5 + BAR + 2} x={x} kind="second" />
                </svg>
              </li>
            );
          })}
        </ul>
      </div>
    </section>
  );
}

function Bars({ bar, y, x, kind }: { bar: Bar; y: number; x: (seconds: number) => number; kind: string }) {
  const rect = (span: [number, number] | null, name: string) => span && (
    <rect class={`of-${name}`} x={x(span[0])} y={y} width={Math.max(name === "wait" ? 0 : 1.5, x(span[1]) - x(span[0]))} height={BAR} rx="1.5" />
  );
  return <>{rect(bar.wait, "wait")}{rect(bar.run, kind)}</>;
}

function Key({ kind, name }: { kind: string; name: string }) {
  return <li><svg width="14" height="10" aria-hidden="true"><rect class={`of-${kind}`} width="14" height="10" rx="2" /></svg>{name}</li>;
}

function saidOf(name: string, bar: Bar): string {
  if (!bar.run) return `${name}: did not run`;
  const waited = bar.wait ? bar.wait[1] - bar.wait[0] : 0;
  return `${name}: waited ${duration(waited)}, ran ${duration(bar.run[1] - bar.run[0])}`;
}
