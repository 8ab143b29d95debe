/** All executions, newest first, as they change. */
import { useEffect, useRef, useState } from "preact/hooks";
import { ApiError, type ListPage, PREFIX, api } from "../api";
import { EXECUTION_STATUSES, type Execution } from "../model/events";
import { ago, duration, words } from "../model/format";
import { type Filter, merge, queryOf } from "../model/listing";
import { HOME } from "../router";
import { now } from "../store";
import { follow } from "../stream";
import { Badge, Link, Problem, Progress } from "./parts";

const TYPING_MS = 200;

export function ListView() {
  const [filter, setFilter] = useState<Filter>({ search: "", status: "" });
  const { rows, next, error, more, isLive } = useExecutions(filter);
  useEffect(() => { document.title = "Executions · Talka"; }, []);
  return (
    <div class="list">
      <div class="heading">
        <h1>Executions</h1>
        <span class={`link ${isLive ? "live" : "lost"}`} role="status">{isLive ? "live" : "connecting…"}</span>
      </div>
      <form class="filters" role="search" onSubmit={(event) => event.preventDefault()}>
        <input
          type="search" aria-label="Search in name and id" placeholder="Search in name and id" value={filter.search}
          onInput={(event) => setFilter({ ...filter, search: event.currentTarget.value })}
        />
        <select
          aria-label="Status" value={filter.status}
          onChange={(event) => setFilter({ ...filter, status: event.currentTarget.value })}
        >
          <option value="">every status</option>
          {EXECUTION_STATUSES.map((status) => <option key={status} value={status}>{words(status)}</option>)}
        </select>
      </form>
      {error && <Problem error={error} />}
      {rows && rows.length === 0 && <Nothing isFiltered={filter.search !== "" || filter.status !== ""} />}
      <ul class="rows" aria-label="Executions">
        {rows?.map((each) => <Row key={each.execution_id} execution={each} />)}
      </ul>
      {next && <button type="button" class="more" onClick={more}>Show more</button>}
    </div>
  );
}

function Nothing({ isFiltered }: { isFiltered: boolean }) {
  return (
    <p class="nothing">
      {isFiltered ? "No execution is like that." : <>Nothing has run yet. Start something: <code>talka submit FILE</code></>}
    </p>
  );
}

function Row({ execution }: { execution: Execution }) {
  const { started_at: started, finished_at: finished } = execution;
  const elapsed = started === null ? null : (finished ?? Math.max(started, now.value)) - started;
  return (
    <li>
      <Link to={{ ...HOME, execution: execution.execution_id }} class="row">
        <span class="name">{execution.name || "(rejected)"} <span class="id">{execution.execution_id}</span></span>
        <span class="standing"><Badge status={execution.status} />{execution.archived && <span class="quiet">archived</span>}</span>
        <Progress done={execution.done} total={execution.total} status={execution.status} />
        <span class="elapsed">{elapsed === null ? "–" : duration(elapsed)}</span>
        <span class="when">{execution.accepted_at === null ? "" : ago(execution.accepted_at, now.value)}</span>
      </Link>
    </li>
  );
}

/** Fetch the list whenever the filter changes, and keep it up to date from one stream. */
function useExecutions(filter: Filter) {
  const [page, setPage] = useState<ListPage | null>(null);
  const [changes, setChanges] = useState<ReadonlyMap<string, Execution>>(new Map());
  const [error, setError] = useState<ApiError | null>(null);
  const [isLive, setLive] = useState(false);
  const stop = useRef<(() => void) | null>(null);

  const listen = (position: number): void => {
    stop.current ??= follow(`${PREFIX}/stream?after=${position}`, {
      onMessages: (messages) => setChanges((before) => {
        const after = new Map(before);
        for (const message of messages) {
          if (message.event !== "execution") continue;
          const execution = JSON.parse(message.data) as Execution;
          after.set(execution.execution_id, execution);
        }
        return after;
      }),
      onState: (state, failure) => {
        setLive(state === "live");
        if (failure) setError(failure);
      },
    });
  };
  useEffect(() => () => stop.current?.(), []);
  useEffect(() => {
    let isStale = false;
    const timer = setTimeout(() => {
      api.list(queryOf(filter)).then(
        (found) => { if (!isStale) { setPage(found); setError(null); listen(found.position); } },
        (failure: ApiError) => { if (!isStale) setError(failure); },
      );
    }, page ? TYPING_MS : 0);
    return () => { isStale = true; clearTimeout(timer); };
  }, [filter.search, filter.status]);

  const more = (): void => {
    if (!page?.next) return;
    void api.list(queryOf(filter, page.next)).then(
      (found) => setPage({ ...found, executions: [...page.executions, ...found.executions] }), setError,
    );
  };
  return { rows: page && merge(page.executions, changes, filter), next: page?.next ?? null, error, more, isLive };
}
