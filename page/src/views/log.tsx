/** The events of an execution; the one that is chosen is where the time slider stands. */
import { useEffect, useMemo, useState } from "preact/hooks";
import { clock, summary } from "../model/format";
import { inSight, offsetsOf } from "../model/rows";
import { go, route } from "../router";
import type { Store } from "../store";
import { useScrolling } from "./scrolling";

const ROW = 30;

export function LogView({ store }: { store: Store }) {
  const count = store.count.value;
  const [text, setText] = useState("");
  const [type, setType] = useState("");
  const types = useMemo(() => [...new Set(store.events.map((event) => event.type))].sort(), [count]);
  const found = useMemo(() => {
    const wanted = text.toLowerCase();
    return store.events.filter((event) =>
      (!type || event.type === type)
      && (!wanted || `${event.type} ${event.task_id ?? ""} ${event.worker_id ?? ""}`.toLowerCase().includes(wanted)));
  }, [count, text, type]);
  const { box, top, height } = useScrolling();
  const offsets = useMemo(() => offsetsOf(found.map(() => ROW)), [found]);
  const [first, last] = inSight(offsets, top, height);
  const at = route.value.at ?? count;
  const chosen = lastUpTo(found, at);
  useEffect(() => {
    const element = box.current;
    if (!element || chosen < 0) return;
    const y = chosen * ROW;
    if (y < element.scrollTop) element.scrollTop = y;
    else if (y + ROW > element.scrollTop + element.clientHeight) element.scrollTop = y + ROW - element.clientHeight;
  }, [chosen, found.length]);
  const choose = (index: number): void => {
    const event = found[Math.max(0, Math.min(found.length - 1, index))];
    if (event) go({ at: event.version === count ? null : event.version }, true);
  };
  const onKeyDown = (event: KeyboardEvent): void => {
    const page = Math.floor(height / ROW);
    // The next key may come before the page is drawn again.
    const here = lastUpTo(found, route.value.at ?? count);
    const to = { ArrowDown: here + 1, ArrowUp: here - 1, PageDown: here + page, PageUp: here - page, Home: 0, End: found.length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    choose(to);
  };
  return (
    <div class="log">
      <form class="filters" onSubmit={(event) => event.preventDefault()}>
        <input type="search" aria-label="Filter events" placeholder="Type, task or worker" value={text} onInput={(event) => setText(event.currentTarget.value)} />
        <select aria-label="Type of event" value={type} onChange={(event) => setType(event.currentTarget.value)}>
          <option value="">every type</option>
          {types.map((each) => <option key={each}>{each}</option>)}
        </select>
        <span class="quiet" role="status">{found.length} of {count}</span>
      </form>
      <div
        ref={box} class="scroll" role="listbox" tabIndex={0} aria-label="Events"
        aria-activedescendant={chosen >= first && chosen < last ? `event-${found[chosen]!.version}` : undefined} onKeyDown={onKeyDown}
      >
        <div class="space" role="presentation" style={{ height: `${found.length * ROW}px` }}>
          {found.slice(first, last).map((event, index) => (
            <div
              key={event.version} id={`event-${event.version}`} role="option" aria-selected={first + index === chosen}
              aria-posinset={first + index + 1} aria-setsize={found.length}
              class={event.version > at ? "event later" : "event"} style={{ top: `${(first + index) * ROW}px` }}
              onClick={() => choose(first + index)}
            >
              <span class="version">{event.version}</span>
              <time>{clock(event.at)}</time>
              <span class="type">{event.type}</span>
              <span class="of">{event.task_id ?? ""}</span>
              <span class="rest">{summary(event)}</span>
            </div>
          ))}
        </div>
      </div>
    </div>
  );
}

function lastUpTo(events: readonly { version: number }[], version: number): number {
  let [low, high] = [0, events.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (events[middle]!.version <= version) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}
