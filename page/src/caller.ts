/** Who looks at the page, and what that one may do. */
import { computed, signal } from "@preact/signals";
import { type Caller, api } from "./api";
import { roleRefusal } from "./model/refusal";

/** Null until the gateway has said it; what somebody may not do it refuses by itself. */
export const caller = signal<Caller | null>(null);
export const refusal = computed(() => roleRefusal(caller.value?.role ?? null));

/** Ask once: whoever gives another token loads the page again. */
export function introduce(): void {
  // Why it does not answer is said by the view, which asks the same gateway.
  api.me().then((found) => { caller.value = found; }, () => undefined);
}
