/** The list of executions: what was fetched, with what has changed since. */
import type { Execution } from "./events";

export interface Filter {
  search: string;
  status: string;
}

export function queryOf(filter: Filter, cursor = ""): URLSearchParams {
  const query = new URLSearchParams({ limit: "100" });
  if (filter.search) query.set("search", filter.search);
  if (filter.status) query.set("status", filter.status);
  if (cursor) query.set("cursor", cursor);
  return query;
}

/** Put what changed into a list, newest first; what does not match any more leaves it. */
export function merge(
  listed: readonly Execution[], changes: ReadonlyMap<string, Execution>, filter: Filter,
): Execution[] {
  const rows = new Map(listed.map((each) => [each.execution_id, each]));
  for (const [id, changed] of changes) {
    const row = rows.get(id);
    if (!row || changed.version > row.version) rows.set(id, changed);
  }
  return [...rows.values()]
    .filter((each) => matches(each, filter))
    .sort((a, b) => (b.accepted_at ?? 0) - (a.accepted_at ?? 0) || (a.execution_id < b.execution_id ? -1 : 1));
}

function matches(execution: Execution, filter: Filter): boolean {
  const text = filter.search.toLowerCase();
  return (!filter.status || execution.status === filter.status)
    && (execution.name.toLowerCase().includes(text) || execution.execution_id.toLowerCase().includes(text));
}
