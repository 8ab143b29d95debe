/** What the gateway sends; the fields are those of its OpenAPI document. Instants `at` are Unix seconds. */

export type TaskStatus =
  | "pending" | "ready" | "queued" | "scheduled" | "running" | "waiting" | "retrying" | "succeeded"
  | "failed" | "timed_out" | "cancelled" | "skipped" | "compensating" | "compensated";

export type ExecutionStatus =
  | "accepted" | "rejected" | "running" | "paused" | "succeeded" | "partial" | "failed" | "timed_out"
  | "cancelled" | "rolling_back" | "rolled_back";

export const TASK_STATUSES: readonly TaskStatus[] = [
  "running", "scheduled", "queued", "ready", "waiting", "retrying", "pending", "compensating",
  "succeeded", "failed", "timed_out", "cancelled", "skipped", "compensated",
];

export const EXECUTION_STATUSES: readonly ExecutionStatus[] = [
  "accepted", "running", "paused", "succeeded", "partial", "failed", "timed_out", "cancelled",
  "rolling_back", "rolled_back", "rejected",
];

export const FINAL: ReadonlySet<string> = new Set([
  "rejected", "succeeded", "partial", "failed", "timed_out", "cancelled", "rolled_back",
]);

export interface Failure {
  code: string;
  message: string;
  detail?: string;
}

export interface Resources {
  cpu_cores?: number;
  memory_mb?: number;
  disk_mb?: number;
  network_bandwidth_mbps?: number;
  gpu_count?: number;
  custom_resources?: Record<string, number>;
}

export interface TaskDefinition {
  id: string;
  agent_type: string;
  name?: string;
  payload?: unknown;
  /** What an attempt holds while it runs; what is not declared is left out. */
  resources?: Resources;
  dependencies?: string[];
  is_irreversible?: boolean;
}

export type Dependency = [from: string, to: string, reason?: string];

export interface Workflow {
  id: string;
  name: string;
  tasks: TaskDefinition[];
  dependencies?: Dependency[];
}

/** One event; which of the optional fields it has depends on its type, and defaults are left out. */
export interface TalkaEvent {
  version: number;
  at: number;
  type: string;
  cause: string;
  task_id?: string;
  attempt?: number;
  worker_id?: string;
  allocation_id?: string;
  from_task?: string;
  to_task?: string;
  started_at?: number;
  finished_at?: number;
  due_at?: number;
  status?: TaskStatus;
  kind?: string;
  reason?: string;
  message?: string;
  because?: string;
  error?: Failure;
  workflow?: Workflow;
  tasks?: TaskDefinition[] | string[];
  dependencies?: Dependency[];
  by?: string;
  to?: number;
  then?: string;
  resumed?: string[];
  result?: unknown;
  [other: string]: unknown;
}

export interface Execution {
  execution_id: string;
  name: string;
  status: ExecutionStatus;
  version: number;
  done: number;
  total: number;
  started_at: number | null;
  finished_at: number | null;
  accepted_at: number | null;
  reason: string;
  pool: string;
  alerts: string[];
  /** Where it lies, if it has left the log for an archive. */
  archived: string | null;
}

export interface TaskDocument {
  task_id: string;
  status: TaskStatus;
  attempts: number;
  worker: string | null;
  result?: unknown;
  error?: Failure;
}

export interface TaskDetail {
  task: TaskDocument;
  /** What the references in its payload stand for, as far as it is known. */
  inputs: Record<string, unknown>;
}

export interface Segment {
  task_id: string;
  spent_on: string;
  began_ms: number;
  took_ms: number;
}

export interface Cause {
  kind: string;
  sentence: string;
  remedy?: string;
}

export interface Explanation {
  causes: Cause[];
  /** When it is expected to start, in Unix seconds; null where nobody can tell, or where it has. */
  starts_at: number | null;
  /** The same in a sentence, with what it rests on; empty where it has started. */
  expectation: string;
}

/** When an execution is expected to be over, in Unix seconds: in half, and in nine of ten cases. */
export interface Eta {
  eta: { p50: number; p90: number };
  runs: number;
}

/** What a task of type approval asks. */
export interface Question {
  task_id: string;
  question: string;
  choices: string[];
  assignees: string[];
  until: number | null;
}

/** What going back to an event does, by task id. */
export interface RollbackPlan {
  to: number;
  cancelled: string[];
  compensated: string[];
  kept: string[];
  again: string[];
  removed: string[];
  irreversible: string[];
  children: { task_id: string; execution_id: string }[];
  paused: string[];
}
