/** Buttons that change something, and why some of them cannot be pressed. */
import type { ComponentChildren } from "preact";
import { refusal } from "../caller";
import { archiveRefusal } from "../model/refusal";
import type { Store } from "../store";
import { Said } from "./parts";

export function refusalFor(store: Store): string {
  return refusal.value || archiveRefusal(store.archived.value);
}

interface Pressed {
  /** Why it cannot be done, empty if it can. */
  reason: string;
  name?: string;
  class?: string;
  isBusy?: boolean;
  onClick: () => void;
  children: ComponentChildren;
}

/** It can be reached by keyboard in any case, so that its reason can be read. */
export function Act({ reason, name, class: kind = "", isBusy = false, onClick, children }: Pressed) {
  if (!reason) return <button type="button" class={kind} aria-label={name} disabled={isBusy} onClick={onClick}>{children}</button>;
  return (
    <button type="button" class="refused" aria-label={name} aria-disabled="true" aria-describedby="refusal" title={reason.replaceAll("`", "")}>{children}</button>
  );
}

/** Says it where it can be seen, once for all buttons of a view. */
export function Refusal({ reason }: { reason: string }) {
  return reason ? <p id="refusal" class="refusal"><Said text={reason} /></p> : null;
}
