/** The graph of tasks, coloured by where each stands at the event that is shown. */
import { memo } from "preact/compat";
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { type Edge, draw, within } from "../model/graph";
import { nearest } from "../model/direction";
import { go, routed } from "../router";
import type { Store } from "../store";
import { Nodes, mark } from "./node";
import { useScrolling } from "./scrolling";

const ZOOM = { min: 0.1, max: 1.5, step: 1.25 };
/** Below this scale a fit shows nothing that can be read; a large graph is only ever seen in part. */
const FIT_MIN = { small: 0.45, large: 0.6 };
/** Of a larger graph only what is in sight is drawn, and this many pixels around it. */
const ALL_MAX = 250;
const AROUND = 80;

export function GraphView({ store }: { store: Store }) {
  const { state } = store.shown.value;
  // The newest graph is laid out, so that nothing moves while the slider does.
  const latest = store.now.value.state;
  const drawing = useMemo(() => {
    const ids = new Set([...latest.tasks.keys(), ...state.tasks.keys()]);
    return draw([...ids], latest.edges);
  }, [latest, latest.shape]);
  const [zoom, setZoom] = useState<number | null>(null);
  const [focused, focus] = useState<string | null>(null);
  const byKey = useRef(false);
  const { box, top, left, height, width } = useScrolling();
  const isLarge = drawing.places.length > ALL_MAX;
  const fit = Math.max(FIT_MIN[isLarge ? "large" : "small"], Math.min(1, width / drawing.width));
  const scale = zoom ?? fit;
  const zoomBy = (factor: number): void => setZoom(Math.max(ZOOM.min, Math.min(ZOOM.max, scale * factor)));
  const chosen = routed.task.value;
  const tabStop = focused ?? chosen ?? drawing.places[0]?.id ?? null;

  const shown = useMemo(() => {
    if (!isLarge) return drawing;
    const [x, y] = [(left - AROUND) / scale, (top - AROUND) / scale];
    const sight = { left: x, top: y, right: x + (width + 2 * AROUND) / scale, bottom: y + (height + 2 * AROUND) / scale };
    return within(drawing, sight, new Set([tabStop, chosen]));
  }, [drawing, isLarge, scale, left, top, width, height, tabStop, chosen]);
  useLayoutEffect(() => mark(box.current!, state.tasks));
  // A task that was out of sight is there only when it has been drawn.
  useLayoutEffect(() => {
    if (!byKey.current || focused === null) return;
    byKey.current = false;
    box.current?.querySelector<SVGGElement>(`[data-task="${CSS.escape(focused)}"]`)?.focus();
  }, [focused]);

  const onKeyDown = (event: KeyboardEvent): void => {
    const id = (event.target as Element).getAttribute("data-task");
    if (id === null) return;
    if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      go({ task: id });
      return;
    }
    const next = nearest(drawing.places, id, event.key);
    if (!next) return;
    event.preventDefault();
    byKey.current = true;
    focus(next);
  };
  const onClick = (event: MouseEvent): void => {
    const id = (event.target as Element).closest("[data-task]")?.getAttribute("data-task");
    if (id) go({ task: id });
  };
  return (
    <div class="graph">
      <div class="tools" role="group" aria-label="Zoom">
        <button type="button" aria-label="Smaller" onClick={() => zoomBy(1 / ZOOM.step)}>−</button>
        <button type="button" aria-label="Larger" onClick={() => zoomBy(ZOOM.step)}>+</button>
        <button type="button" onClick={() => setZoom(null)}>Fit</button>
      </div>
      <div class="canvas" ref={box} onClick={onClick} onKeyDown={onKeyDown} tabIndex={drawing.places.length ? -1 : 0}>
        <svg
          width={drawing.width * scale} height={drawing.height * scale} viewBox={`0 0 ${drawing.width} ${drawing.height}`}
          role="group" aria-label={`Graph of ${drawing.places.length} tasks; arrow keys go from task to task`}
        >
          <Edges edges={shown.edges} />
          <Nodes places={shown.places} chosen={chosen} tabStop={tabStop} />
        </svg>
      </div>
    </div>
  );
}

const Edges = memo(({ edges }: { edges: readonly Edge[] }) => (
  <g class="edges" aria-hidden="true">{edges.map((edge) => <path key={edge.key} d={edge.path} />)}</g>
));

export function useWidth(element: { current: HTMLElement | null }): number {
  const [width, setWidth] = useState(800);
  useEffect(() => {
    const observer = new ResizeObserver(([entry]) => entry && setWidth(entry.contentRect.width));
    if (element.current) observer.observe(element.current);
    return () => observer.disconnect();
  }, []);
  return width;
}
