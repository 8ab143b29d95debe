/** Which view the address names: `/`, or `/executions/ID/TAB?task=…&at=…`. */
import { signal } from "@preact/signals";

export const TABS = ["graph", "timeline", "events"] as const;
export type Tab = (typeof TABS)[number];

export interface Route {
  execution: string | null;
  tab: Tab;
  task: string | null;
  /** The event that the time slider stands at; null for now. */
  at: number | null;
}

export function parse(path: string, search: string): Route {
  const [, id, tab] = /^\/executions\/([^/]+)(?:\/([^/]+))?\/?$/.exec(path) ?? [];
  const query = new URLSearchParams(search);
  const at = Number(query.get("at"));
  return {
    execution: id === undefined ? null : decodeURIComponent(id),
    tab: TABS.find((each) => each === tab) ?? "graph",
    task: query.get("task"),
    at: Number.isInteger(at) && at > 0 ? at : null,
  };
}

export function addressOf(to: Route): string {
  if (to.execution === null) return "/";
  const query = new URLSearchParams();
  if (to.task !== null) query.set("task", to.task);
  if (to.at !== null) query.set("at", String(to.at));
  const rest = query.toString();
  const path = `/executions/${encodeURIComponent(to.execution)}${to.tab === "graph" ? "" : `/${to.tab}`}`;
  return path + (rest && `?${rest}`);
}

export const route = signal<Route>({ execution: null, tab: "graph", task: null, at: null });

/** Go somewhere; `replace` leaves no step to go back to. */
export function go(change: Partial<Route>, replace = false): void {
  const to = { ...route.value, ...change };
  history[replace ? "replaceState" : "pushState"](null, "", addressOf(to));
  route.value = to;
}

export function listen(): void {
  const read = (): void => { route.value = parse(location.pathname, location.search); };
  addEventListener("popstate", read);
  read();
}
