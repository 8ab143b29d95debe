import { useEffect, useState } from "preact/hooks";
import type { ApiError } from "../api";

export interface Asked<T> {
  found: T | null;
  error: ApiError | null;
  isBusy: boolean;
}

/** The gateway shall be asked for at most a tenth of the time. */
const PATIENCE = 10;

/**
 * What the gateway answers, asked whenever one of `of` changes and, with `pause`, again so many milliseconds
 * after each answer while the page can be seen; what takes long is asked less often. What was found stays until
 * there is something newer.
 */
export function useAsked<T>(asking: () => Promise<T>, of: readonly unknown[], pause: number | null = null): Asked<T> {
  const [said, say] = useState<Asked<T>>({ found: null, error: null, isBusy: true });
  useEffect(() => {
    let isStale = false;
    let timer: ReturnType<typeof setTimeout>;
    const again = (took: number): void => {
      if (pause !== null && !isStale) timer = setTimeout(run, Math.max(pause, PATIENCE * took));
    };
    const run = (): void => {
      if (document.hidden && pause !== null) return again(0);
      const began = performance.now();
      say((before) => ({ ...before, isBusy: true }));
      asking().then(
        (found) => { if (!isStale) say({ found, error: null, isBusy: false }); },
        (error: ApiError) => { if (!isStale) say((before) => ({ ...before, error, isBusy: false })); },
      ).finally(() => again(performance.now() - began));
    };
    run();
    return () => { isStale = true; clearTimeout(timer); };
  }, [...of, pause]);
  return said;
}
