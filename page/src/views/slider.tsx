/** Goes through the events of an execution: by hand, step by step, or playing. */
import { useEffect, useState } from "preact/hooks";
import { clock } from "../model/format";
import { go, route } from "../router";
import type { Store } from "../store";
import { FromHere } from "./rewinding";

/** A whole history plays in about this time. */
const PLAY_S = 20;
const TICK_MS = 50;

export function Slider({ store }: { store: Store }) {
  const total = store.count.value;
  const at = Math.min(route.value.at ?? total, total);
  const [isPlaying, play] = useState(false);
  const to = (version: number): void => {
    const event = Math.max(1, Math.min(total, version));
    go({ at: event === total ? null : event }, true);
  };
  const by = (step: number): void => to(Math.min(route.value.at ?? total, total) + step);
  useEffect(() => {
    if (!isPlaying) return undefined;
    const step = Math.max(1, Math.round((store.count.value * TICK_MS) / (1000 * PLAY_S)));
    const pause = Math.max(TICK_MS, Math.min(250, (1000 * PLAY_S) / Math.max(1, store.count.value)));
    const timer = setInterval(() => {
      const here = route.value.at;
      if (here === null || here + step >= store.count.value) {
        go({ at: null }, true);
        play(false);
      } else go({ at: here + step }, true);
    }, pause);
    return () => clearInterval(timer);
  }, [isPlaying, store]);
  const event = store.events[at - 1];
  const text = event ? `${event.type}${event.task_id ? ` ${event.task_id}` : ""}` : "";
  const start = (): void => {
    if (!isPlaying && route.value.at === null) to(1);
    play(!isPlaying);
  };
  return (
    <div class="slider" role="group" aria-label="Time">
      <button type="button" aria-label="Event before" disabled={at <= 1} onClick={() => by(-1)}><Glyph d="M8 2 3 6l5 4z" /></button>
      <button type="button" aria-label={isPlaying ? "Stop playing" : "Play"} disabled={total < 2} onClick={start}>
        <Glyph d={isPlaying ? "M3 2h2v8H3zM7 2h2v8H7z" : "M3 1.5v9l7-4.5z"} />
      </button>
      <button type="button" aria-label="Next event" disabled={at >= total} onClick={() => by(1)}><Glyph d="M4 2l5 4-5 4z" /></button>
      <input
        type="range" min={1} max={Math.max(1, total)} value={at} aria-label="Event"
        aria-valuetext={`event ${at} of ${total}, ${text}`}
        onInput={(input) => to(Number(input.currentTarget.value))}
      />
      <button type="button" class="now" aria-pressed={route.value.at === null} onClick={() => { play(false); go({ at: null }, true); }}>Now</button>
      <p class="instant">
        <b>event {at}</b> of {total}
        {event && <> · <time>{clock(event.at)}</time> · <span class="what">{text}</span></>}
      </p>
      {route.value.at !== null && <FromHere store={store} at={at} />}
    </div>
  );
}

function Glyph({ d }: { d: string }) {
  return <svg viewBox="0 0 12 12" width="12" height="12" aria-hidden="true"><path d={d} fill="currentColor" /></svg>;
}
