/** Asking the gateway. */
import type { Alert, AlertPage, Bottlenecks, Comparison, Pool, PoolUse, WhatIf, Wish } from "./model/insight";
import type { Role } from "./model/refusal";
import type { Eta, Execution, Explanation, Question, RollbackPlan, TaskDetail, Workflow } from "./model/events";

export const PREFIX = "/api/v1";
const TOKEN = "talka-token";

/** What the gateway answers when something is wrong (RFC 9457). */
export class ApiError extends Error {
  constructor(readonly status: number, readonly code: string, message: string, readonly hint: string) {
    super(message);
  }
}

export function setToken(token: string): void {
  sessionStorage.setItem(TOKEN, token);
}

export function headers(): Record<string, string> {
  const token = sessionStorage.getItem(TOKEN);
  return token ? { Authorization: `Bearer ${token}` } : {};
}

export async function problemOf(response: Response): Promise<ApiError> {
  const said = (await response.json().catch(() => ({}))) as Record<string, unknown>;
  const detail = String(said["detail"] ?? `The gateway answered ${response.status}.`);
  return new ApiError(response.status, String(said["code"] ?? ""), detail, String(said["hint"] ?? ""));
}

async function ask<T>(path: string, init: RequestInit = {}): Promise<T> {
  const sent = { ...headers(), ...(init.headers as Record<string, string>), ...(init.body ? { "Content-Type": "application/json" } : {}) };
  const response = await fetch(PREFIX + path, { ...init, headers: sent });
  if (!response.ok) throw await problemOf(response);
  return (await response.json()) as T;
}

/** Under a key a request that is sent again, after a lost answer, is heard once. */
async function post<T>(path: string, body: object, key = ""): Promise<T> {
  return ask<T>(path, { method: "POST", body: JSON.stringify(body), headers: key ? { "Idempotency-Key": key } : {} });
}

export function newKey(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

export interface ListPage {
  executions: Execution[];
  next: string | null;
  position: number;
}

export interface Caller {
  name: string;
  role: Role;
}

export function one(id: string): string {
  return `/executions/${encodeURIComponent(id)}`;
}

export const api = {
  me: () => ask<Caller>("/me"),
  list: (query: URLSearchParams) => ask<ListPage>(`/executions?${query}`),
  workflow: (id: string) => ask<Workflow>(`${one(id)}/workflow`),
  bottlenecks: (id: string, isSimulated: boolean) =>
    ask<Bottlenecks>(`${one(id)}/bottlenecks?simulate=${isSimulated}`),
  simulate: (id: string, wish: Wish) => post<WhatIf>(`${one(id)}/simulate`, wish),
  compare: (id: string, other: string) => ask<Comparison>(`${one(id)}/diff/${encodeURIComponent(other)}`),
  pools: async () => (await ask<{ pools: Pool[] }>("/pools")).pools,
  use: (pool: string, since: number, until: number | null) => {
    const query = new URLSearchParams({ since: String(since), ...(until === null ? {} : { until: String(until) }) });
    return ask<PoolUse>(`/pools/${encodeURIComponent(pool)}/utilisation?${query}`);
  },
  alerts: (isAll: boolean) => ask<AlertPage>(`/alerts?all=${isAll}`),
  acknowledge: (number: number) => post<Alert>(`/alerts/${number}/acknowledge`, {}),
  execution: (id: string) => ask<Execution>(one(id)),
  task: (id: string, task: string) =>
    ask<TaskDetail>(`${one(id)}/tasks/${encodeURIComponent(task)}`),
  explanation: (id: string, task: string) =>
    ask<Explanation>(`${one(id)}/tasks/${encodeURIComponent(task)}/explanation`),
  eta: (id: string) => ask<Eta>(`${one(id)}/eta`),
  act: (id: string, action: "cancel" | "pause" | "resume") => post<unknown>(`${one(id)}/${action}`, {}),
  restart: (id: string, task: string, key: string) => post<unknown>(`${one(id)}/restart`, { from_task: task }, key),
  planRollback: async (id: string, to: number) =>
    (await post<{ plan: RollbackPlan }>(`${one(id)}/rollback`, { to, dry_run: true })).plan,
  rollback: (id: string, wish: { to: number; then: string; accept_irreversible: boolean }, key: string) =>
    post<unknown>(`${one(id)}/rollback`, wish, key),
  fork: async (id: string, at: number, key: string) =>
    (await post<{ execution_id: string }>(`${one(id)}/fork`, { at }, key)).execution_id,
  questions: async (id: string) => (await ask<{ questions: Question[] }>(`${one(id)}/questions`)).questions,
  answer: (id: string, task: string, choice: string, comment: string) =>
    post<unknown>(`${one(id)}/tasks/${encodeURIComponent(task)}/answer`, { choice, comment }),
};
