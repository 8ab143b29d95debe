/** What an execution would have been with something other than it was, beside how it really went. */
import { useMemo, useState } from "preact/hooks";
import { type ApiError, api } from "../api";
import { duration } from "../model/format";
import type { SimulatedRun, WhatIf, Wish } from "../model/insight";
import { amountsOf, pairsOfRuns } from "../model/pairs";
import type { Store } from "../store";
import { PairsView } from "./pairs";
import { Problem } from "./parts";

const STRATEGIES = ["breadth_first", "depth_first", "priority", "resource_optimized", "deadline"];

export function WhatIfView({ store }: { store: Store }) {
  const [found, keep] = useState<WhatIf | null>(null);
  const [error, fail] = useState<ApiError | null>(null);
  const [isBusy, setBusy] = useState(false);
  const ask = async (wish: Wish): Promise<void> => {
    setBusy(true);
    try {
      keep(await api.simulate(store.id, wish));
      fail(null);
    } catch (failure) {
      fail(failure as ApiError);
    }
    setBusy(false);
  };
  return (
    <div class="what-if">
      <p class="quiet">The same tasks, each as long as it took, decided by the real planner, scheduler and pool on modelled workers. Nothing is started.</p>
      <Form isBusy={isBusy} onAsk={(wish) => void ask(wish)} />
      {isBusy && <p class="quiet" role="status">Simulating…</p>}
      {error && <Problem error={error} />}
      {found && !isBusy && <Answer found={found} />}
    </div>
  );
}

/** Each field is empty for what stays as it was. */
function Form({ isBusy, onAsk }: { isBusy: boolean; onAsk: (wish: Wish) => void }) {
  const [wrong, blame] = useState("");
  const submit = (event: SubmitEvent): void => {
    event.preventDefault();
    const given = new FormData(event.currentTarget as HTMLFormElement);
    const text = (name: string): string => String(given.get(name) ?? "").trim();
    const [capacity, faster] = [amountsOf(text("capacity")), amountsOf(text("faster"))];
    const failure = [capacity, faster].find((each) => typeof each === "string");
    blame(typeof failure === "string" ? failure : "");
    if (typeof capacity === "string" || typeof faster === "string") return;
    onAsk({
      capacity, faster,
      ...(text("strategy") && { strategy: text("strategy") }),
      ...(text("workers") && { workers: Number(text("workers")) }),
      ...(text("max_parallel") && { max_parallel: Number(text("max_parallel")) }),
    });
  };
  return (
    <form class="wish" aria-label="What is to be other" onSubmit={submit}>
      <label>Order
        <select name="strategy">
          <option value="">as it was</option>
          {STRATEGIES.map((each) => <option key={each} value={each}>{each.replaceAll("_", " ")}</option>)}
        </select>
      </label>
      <label>Workers <input name="workers" type="number" min="1" max="1000" placeholder="as they were" /></label>
      <label>Each has <input name="capacity" placeholder="cpu_cores=8 memory_mb=4096" autocapitalize="off" /></label>
      <label>Most tasks at once <input name="max_parallel" type="number" min="1" placeholder="as it was" /></label>
      <label>Times as long <input name="faster" placeholder="task=0.5" autocapitalize="off" /></label>
      <button class="primary" disabled={isBusy}>Simulate</button>
      {wrong && <p role="alert" class="error">{wrong}</p>}
    </form>
  );
}

function Answer({ found }: { found: WhatIf }) {
  const { recorded, simulated, unchanged_s: unchanged } = found;
  const pairs = useMemo(() => pairsOfRuns(recorded, simulated), [found]);
  return (
    <section aria-label="What it would have been">
      <div class="wide" tabIndex={0} role="region" aria-label="Figures"><table class="figures-table">
        <thead><tr><th scope="col">Run</th><th scope="col">Status</th><th scope="col">Takes</th><th scope="col">No schedule beats</th><th scope="col">Held most</th></tr></thead>
        <tbody>
          {recorded ? <Run name="as it went" run={recorded} /> : <tr><td>as it goes</td><td colSpan={4}>not over yet</td></tr>}
          <tr><td>simulated as it was</td><td /><td>{duration(unchanged)}</td><td /><td /></tr>
          <Run name="simulated with the change" run={simulated} />
        </tbody>
      </table></div>
      <p class="verdict">{verdict(simulated.makespan_s, unchanged)}</p>
      <PairsView pairs={pairs} names={["as it went", "with the change"]} title="Both runs" />
    </section>
  );
}

function Run({ name, run }: { name: string; run: SimulatedRun }) {
  const [busiest] = Object.entries(run.utilisation).sort(([, a], [, b]) => b - a);
  return (
    <tr>
      <td>{name}</td><td>{run.status.replaceAll("_", " ")}</td><td>{duration(run.makespan_s)}</td><td>{duration(run.lower_bound_s)}</td>
      <td>{busiest ? `${busiest[0]} ${Math.round(100 * busiest[1])} %` : "–"}</td>
    </tr>
  );
}

/** Simulations are compared with each other, so that what every simulation leaves out counts for neither. */
function verdict(changed: number, unchanged: number): string {
  const share = unchanged > 0 ? Math.abs(changed / unchanged - 1) : 0;
  if (share < 0.001) return "The change makes no difference.";
  const figure = `${duration(Math.abs(changed - unchanged))} (${(100 * share).toFixed(1)} %)`;
  return changed < unchanged ? `The change saves ${figure}.` : `The change costs ${figure}.`;
}
