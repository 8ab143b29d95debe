/** What somebody should look at: stuck, late, leaking, failing or behind; as it comes and goes. */
import { useEffect, useState } from "preact/hooks";
import { type ApiError, PREFIX, api } from "../api";
import { refusal } from "../caller";
import { ago, words } from "../model/format";
import type { Alert, AlertPage } from "../model/insight";
import { HOME } from "../router";
import { now } from "../store";
import { follow } from "../stream";
import { Act, Refusal } from "./act";
import { useAsked } from "./asking";
import { Link, Problem, Said } from "./parts";

/** How often the number beside the link is asked for: a stream for it would cost a connection in every tab. */
const COUNT_MS = 15_000;

export function AlertsView() {
  const [isAll, setAll] = useState(false);
  const { alerts, page, error, isLive, put } = useAlerts();
  const shown = (alerts ?? []).filter((each) => isAll || isOpen(each));
  useEffect(() => { document.title = "Alerts · Talka"; }, []);
  return (
    <div class="alerts">
      <div class="heading">
        <h1>Alerts</h1>
        <span class={`link ${isLive ? "live" : "lost"}`} role="status">{isLive ? "live" : "connecting…"}</span>
      </div>
      <div class="tools">
        <label><input type="checkbox" checked={isAll} onChange={(event) => setAll(event.currentTarget.checked)} /> also those that are over</label>
        {page && page.webhooks_owed > 0 && <span class="quiet">{page.webhooks_owed} webhooks on their way</span>}
        {page && page.webhooks_given_up > 0 && <span class="error">{page.webhooks_given_up} webhooks given up</span>}
      </div>
      <Refusal reason={alerts?.some((each) => each.status === "open") ? refusal.value : ""} />
      {error && <Problem error={error} />}
      {alerts && shown.length === 0 && <p class="nothing">{isAll ? "There has never been an alert." : "Nothing needs looking at."}</p>}
      <ul class="rows" aria-label="Alerts">{shown.map((each) => <Row key={each.number} alert={each} onSeen={put} />)}</ul>
    </div>
  );
}

function Row({ alert, onSeen }: { alert: Alert; onSeen: (alert: Alert) => void }) {
  const [failure, fail] = useState("");
  const acknowledge = (): void => {
    api.acknowledge(alert.number).then(onSeen, (error: Error) => fail(error.message));
  };
  const times = [
    `raised ${ago(alert.raised_at, now.value)}`,
    ...(alert.acknowledged_at === null ? [] : [`seen ${ago(alert.acknowledged_at, now.value)}${alert.acknowledged_by ? ` by ${alert.acknowledged_by}` : ""}`]),
    ...(alert.cleared_at === null ? [] : [`over ${ago(alert.cleared_at, now.value)}`]),
  ];
  return (
    <li class="alert">
      <div class="heading">
        <span class={`kind k-${alert.status}`}>{words(alert.kind)}</span>
        <span class="id">{alert.subject}</span>
        {alert.status === "open" && <Act reason={refusal.value} name={`Acknowledge alert ${alert.number}`} onClick={acknowledge}>Acknowledge</Act>}
      </div>
      <p><Said text={alert.message} /></p>
      {alert.hint && <p class="quiet"><Said text={alert.hint} /></p>}
      <p class="facts">
        <span>{times.join(", ")}</span>
        {alert.execution_id && <Link to={{ ...HOME, execution: alert.execution_id }}>its execution</Link>}
      </p>
      {failure && <p role="alert" class="error">{failure}</p>}
    </li>
  );
}

/** The link to them, with how many are open. */
export function AlertsLink() {
  const { found } = useAsked(() => api.alerts(false), [], COUNT_MS);
  const count = found?.alerts.filter((each) => each.status === "open").length ?? 0;
  return (
    <Link to={{ ...HOME, page: "alerts" }}>
      Alerts{count > 0 && <> <b class="count" aria-label={`${count} open`}>{count}</b></>}
    </Link>
  );
}

function isOpen(alert: Alert): boolean {
  return alert.status !== "cleared" && !(alert.status === "acknowledged" && LASTING.has(alert.kind));
}

/** What is a fact and no condition is over when somebody has seen it. */
const LASTING: ReadonlySet<string> = new Set(["leak", "dependency_violation"]);

function useAlerts() {
  const [page, setPage] = useState<AlertPage | null>(null);
  const [changes, change] = useState<ReadonlyMap<number, Alert>>(new Map());
  const [error, fail] = useState<ApiError | null>(null);
  const [isLive, setLive] = useState(false);
  const put = (...alerts: Alert[]): void =>
    change((before) => new Map([...before, ...alerts.map((each) => [each.number, each] as const)]));
  useEffect(() => {
    let stop: (() => void) | null = null;
    let isStale = false;
    api.alerts(true).then((found) => {
      if (isStale) return;
      setPage(found);
      stop = follow(`${PREFIX}/alerts/stream?after=${found.version}`, {
        onMessages: (messages) => put(...messages.filter((each) => each.event.startsWith("Alert")).map((each) => JSON.parse(each.data) as Alert)),
        onState: (state, failure) => { setLive(state === "live"); if (failure) fail(failure); },
      });
    }, fail);
    return () => { isStale = true; stop?.(); };
  }, []);
  const all = new Map((page?.alerts ?? []).map((each) => [each.number, each] as const));
  for (const [number, changed] of changes) all.set(number, changed);
  const alerts = page && [...all.values()].sort((a, b) => b.number - a.number);
  return { alerts, page, error, isLive, put };
}
