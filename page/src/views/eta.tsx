/** When an execution will be over, counted down; asked again as it goes on. */
import { useEffect, useState } from "preact/hooks";
import { api } from "../api";
import type { Eta } from "../model/events";
import { left } from "../model/format";
import { type Store, now } from "../store";

/** A forecast is many simulations, so it is asked for only so often. */
const PAUSE_MS = 5000;

export function Expected({ store }: { store: Store }) {
  const [found, keep] = useState<Eta | null>(null);
  const { status } = store.now.value.state;
  useEffect(() => {
    keep(null);
    if (status !== "running") return undefined;
    let timer: ReturnType<typeof setTimeout>;
    let isStale = false;
    const again = async (): Promise<void> => {
      // What cannot be foretold (nothing runs yet, or it ends just now) is not shown.
      const eta = await api.eta(store.id).catch(() => null);
      if (isStale) return;
      keep(eta);
      timer = setTimeout(() => void again(), PAUSE_MS);
    };
    void again();
    return () => { isStale = true; clearTimeout(timer); };
  }, [status]);
  return found && <span class="eta">{left(found.eta.p50 - now.value, found.eta.p90 - now.value)}</span>;
}
