/** How much of a pool was held over time: one resource at a time, in all and on each worker. */
import { useMemo, useRef, useState } from "preact/hooks";
import { clock, duration, ticks, words } from "../model/format";
import type { PoolUse, Series } from "../model/insight";
import { averageOf, resourcesOf, steps } from "../model/usage";
import { useWidth } from "./graph";

const TALL = 96;
const LOW = 34;
/** More workers than this are shown only when they are asked for. */
const WORKERS_MAX = 30;

export function UseView({ use, at }: { use: PoolUse; at: number | null }) {
  const names = useMemo(() => resourcesOf(use.total), [use]);
  const [chosen, choose] = useState("");
  const [isAll, showAll] = useState(false);
  const box = useRef<HTMLDivElement>(null);
  const width = Math.max(160, useWidth(box));
  const name = names.includes(chosen) ? chosen : names[0];
  if (name === undefined) return <p class="nothing">The pool had no worker in this time.</p>;
  const workers = Object.entries(use.workers).filter(([, found]) => found[name]);
  const shown = isAll ? workers : workers.slice(0, WORKERS_MAX);
  const frame = { use, at, name, width };
  return (
    <div class="use" ref={box}>
      <div class="tools">
        <label>Resource{" "}
          <select value={name} onChange={(event) => choose(event.currentTarget.value)}>
            {names.map((each) => <option key={each} value={each}>{words(each)}</option>)}
          </select>
        </label>
        <ul class="legend" aria-label="Legend">
          <li><svg width="14" height="10" aria-hidden="true"><rect class="held" width="14" height="10" rx="2" /></svg>held</li>
          <li><svg width="14" height="10" aria-hidden="true"><rect class="there" width="14" height="10" rx="2" /></svg>there</li>
        </ul>
      </div>
      <Chart {...frame} title={`Pool ${use.pool}`} series={use.total[name]!} height={TALL} />
      <Axis use={use} width={width} />
      {shown.map(([worker, found]) => <Chart key={worker} {...frame} title={worker} series={found[name]!} height={LOW} />)}
      {workers.length > shown.length && <button type="button" onClick={() => showAll(true)}>Show all {workers.length} workers</button>}
    </div>
  );
}

interface ChartProps {
  use: PoolUse;
  at: number | null;
  name: string;
  width: number;
  title: string;
  series: Series;
  height: number;
}

function Chart({ use, at, name, width, title, series, height }: ChartProps) {
  const average = averageOf(series);
  const most = Math.max(series.most_capacity, ...series.held);
  const figures = average === null
    ? "nothing there"
    : `${Math.round(100 * average)} % held on average, at most ${amount(series.most_held)} of ${amount(series.most_capacity)}`;
  const share = at === null ? null : (at - use.since) / (use.until - use.since);
  return (
    <figure class="chart">
      <figcaption><span class="id">{title}</span> <span class="quiet">{figures}</span></figcaption>
      <svg width={width} height={height} role="img" aria-label={`${words(name)} of ${title}: ${figures}`}>
        <path class="there" d={steps(series.capacity, most, width, height)} />
        <path class="held" d={steps(series.held, most, width, height)} />
        {share !== null && share >= 0 && share <= 1 && <line class="moment-line" x1={share * width} x2={share * width} y1="0" y2={height} />}
      </svg>
    </figure>
  );
}

/** The time under the chart: what has passed since its beginning, and the clock at both ends. */
function Axis({ use, width }: { use: PoolUse; width: number }) {
  const length = use.until - use.since;
  return (
    <div class="use-axis" aria-hidden="true">
      {ticks(length, width / 130).filter((tick) => tick < length * 0.93).map((tick) => (
        <span key={tick} style={{ left: `${(tick / length) * width}px` }}>
          {tick === 0 ? clock(use.since).slice(0, 8) : `+${duration(tick).replace(".0 ", " ")}`}
        </span>
      ))}
    </div>
  );
}

function amount(value: number): string {
  return String(Math.round(value * 100) / 100);
}
