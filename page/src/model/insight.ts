/** What the gateway says about how time and resources were spent; fields as in its OpenAPI document. */
import type { Segment } from "./events";

/** One resource over the slices: what there was, and what of it was held, on average. */
export interface Series {
  capacity: number[];
  held: number[];
  /** The most that there was, and that was held, at any time. */
  most_capacity: number;
  most_held: number;
}

export interface PoolUse {
  pool: string;
  since: number;
  until: number;
  slice_s: number;
  total: Record<string, Series>;
  workers: Record<string, Record<string, Series>>;
}

export interface Alternative {
  change: string;
  makespan_ms: number;
  saves_ms: number;
}

export interface Bottlenecks {
  status: string;
  makespan_ms: number;
  segments: Segment[];
  totals_ms: Record<string, number>;
  simulated_ms: number | null;
  alternatives: Alternative[];
  note: string;
}

export interface SimulatedTask {
  status: string;
  ready_s: number | null;
  start_s: number | null;
  end_s: number | null;
  worker: string;
}

export interface SimulatedRun {
  status: string;
  makespan_s: number;
  lower_bound_s: number;
  utilisation: Record<string, number>;
  tasks: Record<string, SimulatedTask>;
}

export interface WhatIf {
  recorded: SimulatedRun | null;
  unchanged_s: number;
  simulated: SimulatedRun;
}

/** What is to be other than it was; what is left out stays. */
export interface Wish {
  strategy?: string;
  max_parallel?: number;
  workers?: number;
  capacity?: Record<string, number>;
  faster?: Record<string, number>;
}

export interface Spent {
  task_id: string;
  first_waited_s: number | null;
  second_waited_s: number | null;
  first_ran_s: number | null;
  second_ran_s: number | null;
}

export interface Comparison {
  parting: {
    first_version: number;
    first_event: Record<string, unknown> | null;
    second_version: number;
    second_event: Record<string, unknown> | null;
  } | null;
  removed: string[];
  added: string[];
  changed: Record<string, string[]>;
  results: string[];
  spent: Spent[];
}

export interface Alert {
  number: number;
  kind: string;
  status: "open" | "acknowledged" | "cleared";
  subject: string;
  message: string;
  hint: string;
  execution_id: string | null;
  raised_at: number;
  cleared_at: number | null;
  acknowledged_at: number | null;
  acknowledged_by: string | null;
}

export interface AlertPage {
  alerts: Alert[];
  version: number;
  webhooks_owed: number;
  webhooks_given_up: number;
}

export interface Pool {
  pool: string;
}
