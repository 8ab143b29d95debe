/** What an execution's pool had and held while it ran, and what is going on in all pools. */
import { useEffect, useState } from "preact/hooks";
import { api } from "../api";
import { route } from "../router";
import { type Store, isOver } from "../store";
import { useAsked } from "./asking";
import { Problem } from "./parts";
import { UseView } from "./use";

const AGAIN_MS = 3000;
const SPANS = { 900: "15 minutes", 3600: "hour", 21600: "6 hours", 86400: "day" };

export function ResourcesView({ store }: { store: Store }) {
  const latest = store.now.value.state;
  const { state } = store.shown.value;
  const since = latest.startedAt;
  const until = isOver(latest) ? latest.at : null;
  const pool = store.pool.value;
  const { found, error } = useAsked(
    async () => (since === null ? null : api.use(pool, since, until)), [pool, since, until], until === null ? AGAIN_MS : null,
  );
  if (since === null) return <p class="nothing">It has not begun.</p>;
  if (error && !found) return <Problem error={error} />;
  if (!found) return <p class="nothing" role="status">Reading the pool’s log…</p>;
  return (
    <>
      <p class="quiet">What the whole pool held while this execution ran, for it and for others.</p>
      <UseView use={found} at={route.value.at === null ? null : state.at} />
    </>
  );
}

/** Every pool, over the last while. */
export function PoolsView() {
  const [span, setSpan] = useState(3600);
  const { found: pools, error } = useAsked(api.pools, [], AGAIN_MS);
  useEffect(() => { document.title = "Pools · Talka"; }, []);
  return (
    <div class="pools">
      <div class="heading"><h1>Pools</h1></div>
      <div class="tools">
        <label>The last{" "}
          <select value={span} onChange={(event) => setSpan(Number(event.currentTarget.value))}>
            {Object.entries(SPANS).map(([seconds, name]) => <option key={seconds} value={seconds}>{name}</option>)}
          </select>
        </label>
      </div>
      {error && <Problem error={error} />}
      {pools?.length === 0 && <p class="nothing">There is no pool yet: no worker has come.</p>}
      {pools?.map((each) => <OnePool key={each.pool} pool={each.pool} span={span} />)}
    </div>
  );
}

function OnePool({ pool, span }: { pool: string; span: number }) {
  const { found, error } = useAsked(() => api.use(pool, Date.now() / 1000 - span, null), [pool, span], AGAIN_MS);
  return (
    <section aria-label={`Pool ${pool}`}>
      {error && <Problem error={error} />}
      {found && <UseView use={found} at={null} />}
    </section>
  );
}
