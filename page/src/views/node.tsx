/** The tasks of the graph: Preact makes their elements, and how each task stands is written to them. */
import { memo } from "preact/compat";
import type { TaskState } from "../model/fold";
import { words } from "../model/format";
import { NODE, type Place } from "../model/graph";
import { shapeOf } from "./parts";

/** What fits into a node; clipping each of a thousand texts makes painting slow. */
const LETTERS = 19;

interface NodeProps {
  place: Place;
  isSelected: boolean;
  isTabStop: boolean;
}

const Node = memo(({ place, isSelected, isTabStop }: NodeProps) => (
  <g
    class="node" transform={`translate(${place.x} ${place.y})`}
    data-task={place.id} role="button" tabindex={isTabStop ? 0 : -1} aria-pressed={isSelected}
  >
    <rect class="box" width={NODE.width} height={NODE.height} rx="7" />
    <rect class="band" width="5" height={NODE.height - 14} x="7" y="7" rx="2.5" />
    <text x="21" y="18" class="title">{short(place.id)}</text>{" "}
    <path class="icon" transform="translate(20 24)" />
    <text x="36" y="34" class="state" />
  </g>
));

interface NodesProps {
  places: readonly Place[];
  chosen: string | null;
  tabStop: string | null;
}

export const Nodes = memo(({ places, chosen, tabStop }: NodesProps) => (
  <>{places.map((place) => <Node key={place.id} place={place} isSelected={chosen === place.id} isTabStop={tabStop === place.id} />)}</>
));

/** What was last written to a node. */
const written = new WeakMap<Element, string>();

/**
 * Write to all nodes that are drawn how their tasks stand.
 *
 * A leap of the slider changes all of them. To compare everything that they consist of took longer
 * than all else that the page has to compute for it, and most of all the first time.
 */
export function mark(drawing: Element, tasks: ReadonlyMap<string, TaskState>): void {
  for (const node of drawing.getElementsByClassName("node")) {
    const id = node.getAttribute("data-task")!;
    const task = tasks.get(id);
    const status = task?.status ?? "absent";
    const text = words(status) + (task && task.attempt > 1 ? ` · attempt ${task.attempt}` : "");
    if (written.get(node) === text) continue;
    written.set(node, text);
    const state = node.lastElementChild!;
    state.textContent = text;
    state.previousElementSibling!.setAttribute("d", shapeOf(status));
    node.setAttribute("data-status", status);
    if (short(id) !== id) node.setAttribute("aria-label", `${id} ${words(status)}`);
  }
}

function short(id: string): string {
  return id.length > LETTERS ? `${id.slice(0, LETTERS - 1)}…` : id;
}
