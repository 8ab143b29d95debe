/** Small parts that every view uses. */
import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { type ApiError, setToken } from "../api";
import { words } from "../model/format";
import { type Route, addressOf, go, route } from "../router";

const CHECK = "M2.5 6.5 5 9l4.5-5.5";
const CROSS = "M3 3l6 6M9 3l-6 6";
const CLOCK = "M6 3v3l2 1.5";
const BACK = "M9.5 8.5V6a2 2 0 0 0-2-2H2.5M5 1.5 2.5 4 5 6.5";

/** The shape of each status, so that colour is never all there is. */
const ICONS: Record<string, string> = {
  pending: "M4 6h4", accepted: "M4 6h4", ready: "M3 6h6M6.5 3.5 9 6 6.5 8.5", queued: "M2.5 3.5h7M2.5 6h7M2.5 8.5h7",
  scheduled: CLOCK, running: "M4 2.8v6.4L9.2 6z", waiting: CLOCK, retrying: "M9 4.5A3.5 3.5 0 1 0 9.5 7M9.3 2v2.7H6.6",
  paused: "M4.2 3v6M7.8 3v6", succeeded: CHECK, partial: "M2.5 6.5 5 9l2-2.5M8.5 3v2.5M8.5 8v.5", failed: CROSS,
  rejected: CROSS, timed_out: CLOCK, cancelled: "M3 3h6v6H3z", skipped: "M3 3l3 3-3 3M8.5 3v6",
  compensating: BACK, compensated: BACK, rolling_back: BACK, rolled_back: BACK,
};

export function Icon({ status }: { status: string }) {
  return (
    <svg class={`icon s-${status}`} viewBox="0 0 12 12" width="12" height="12" aria-hidden="true">
      <path d={shapeOf(status)} />
    </svg>
  );
}

/** The shape alone, as the `d` of a path, for within a drawing. */
export function shapeOf(status: string): string {
  return ICONS[status] ?? ICONS["pending"]!;
}

export function Badge({ status }: { status: string }) {
  return <span class={`badge s-${status}`}><Icon status={status} />{words(status)}</span>;
}

/** How many of the whole are done. */
export function Progress({ done, total, status }: { done: number; total: number; status: string }) {
  return (
    <span class="progress">
      <progress class={`s-${status}`} value={done} max={Math.max(1, total)} aria-label="Tasks that are over" />
      <span class="figures">{done} of {total}</span>
    </span>
  );
}

/** A sentence of the gateway, in which `commands` stand between backquotes. */
export function Said({ text }: { text: string }) {
  return <>{text.split("`").map((part, index) => (index % 2 ? <code key={index}>{part}</code> : part))}</>;
}

/** A link within the page; with a modifier key the browser does what it always does. */
export function Link(props: { to: Partial<Route>; class?: string; children: ComponentChildren }) {
  const to = { ...route.value, ...props.to };
  const onClick = (event: MouseEvent): void => {
    if (event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
    event.preventDefault();
    go(to);
  };
  return <a href={addressOf(to)} class={props.class ?? ""} onClick={onClick}>{props.children}</a>;
}

/** What went wrong; where a token is missing, the place to give it. */
export function Problem({ error }: { error: ApiError }) {
  const [token, keep] = useState("");
  const submit = (event: Event): void => {
    event.preventDefault();
    setToken(token);
    location.reload();
  };
  return (
    <div class="problem" role="alert">
      <p><strong><Said text={error.message} /></strong> <Said text={error.hint} /></p>
      {error.status === 401 && (
        <form onSubmit={submit}>
          <label>Token <input type="password" value={token} onInput={(e) => keep(e.currentTarget.value)} /></label>
          <button>Use it in this tab</button>
        </form>
      )}
    </div>
  );
}

interface Question {
  title: string;
  text: string;
  yes: string;
  /** What else is shown or chosen. */
  children?: ComponentChildren;
  isReady?: boolean;
  onYes: () => Promise<unknown>;
  onClose: () => void;
}

/** Asks before something is done, and stays open with the reason if it could not be done. */
export function Confirm({ title, text, yes, children, isReady = true, onYes, onClose }: Question) {
  const dialog = useRef<HTMLDialogElement>(null);
  const [error, setError] = useState<string | null>(null);
  const [isBusy, setBusy] = useState(false);
  useEffect(() => dialog.current?.showModal(), []);
  const run = async (): Promise<void> => {
    setBusy(true);
    try {
      await onYes();
      onClose();
    } catch (failure) {
      setError((failure as Error).message);
      setBusy(false);
    }
  };
  return (
    <dialog ref={dialog} onClose={onClose} aria-labelledby="question">
      <h2 id="question">{title}</h2>
      <p>{text}</p>
      {children}
      {error && <p role="alert" class="error">{error}</p>}
      <div class="buttons">
        <button type="button" onClick={onClose}>Leave it</button>
        <button type="button" class="primary" disabled={isBusy || !isReady} onClick={() => void run()}>{yes}</button>
      </div>
    </dialog>
  );
}
