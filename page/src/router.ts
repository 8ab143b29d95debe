/** Which view the address names: `/`, `/pools`, `/alerts`, or `/executions/ID/TAB?task=…&at=…&with=…`. */
import { computed, signal } from "@preact/signals";

export const TABS = ["graph", "timeline", "resources", "bottlenecks", "what-if", "compare", "events"] as const;
export type Tab = (typeof TABS)[number];

export const PAGES = ["executions", "pools", "alerts"] as const;
export type PageName = (typeof PAGES)[number];

export interface Route {
  page: PageName;
  execution: string | null;
  tab: Tab;
  task: string | null;
  /** The event that the time slider stands at; null for now. */
  at: number | null;
  /** The execution that it is compared with. */
  other: string | null;
}

export const HOME: Route = { page: "executions", execution: null, tab: "graph", task: null, at: null, other: null };

export function parse(path: string, search: string): Route {
  const [, id, tab] = /^\/executions\/([^/]+)(?:\/([^/]+))?\/?$/.exec(path) ?? [];
  const query = new URLSearchParams(search);
  const at = Number(query.get("at"));
  return {
    page: PAGES.find((each) => path === `/${each}`) ?? "executions",
    execution: id === undefined ? null : decodeURIComponent(id),
    tab: TABS.find((each) => each === tab) ?? "graph",
    task: query.get("task"),
    at: Number.isInteger(at) && at > 0 ? at : null,
    other: query.get("with"),
  };
}

export function addressOf(to: Route): string {
  if (to.execution === null) return to.page === "executions" ? "/" : `/${to.page}`;
  const query = new URLSearchParams();
  if (to.task !== null) query.set("task", to.task);
  if (to.at !== null) query.set("at", String(to.at));
  if (to.other !== null) query.set("with", to.other);
  const rest = query.toString();
  const path = `/executions/${encodeURIComponent(to.execution)}${to.tab === "graph" ? "" : `/${to.tab}`}`;
  return path + (rest && `?${rest}`);
}

export const route = signal<Route>(HOME);
/** Its parts, for what shows no more of it: each step of the slider changes `at`, and only what depends on it is drawn anew. */
export const routed = {
  page: computed(() => route.value.page),
  execution: computed(() => route.value.execution),
  tab: computed(() => route.value.tab),
  task: computed(() => route.value.task),
};

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
