/** What can be done from an event of the past: go back to it, or begin another execution at it. */
import { useEffect, useMemo, useState } from "preact/hooks";
import { api, newKey } from "../api";
import type { RollbackPlan } from "../model/events";
import { consequences } from "../model/rewinding";
import { HOME, go } from "../router";
import type { Store } from "../store";
import { Act, refusalFor } from "./act";
import { Confirm } from "./parts";

export function FromHere({ store, at }: { store: Store; at: number }) {
  const [asked, ask] = useState<"rollback" | "fork" | null>(null);
  const key = useMemo(newKey, [asked]);
  const fork = async (): Promise<void> => {
    const id = await api.fork(store.id, at, key);
    go({ ...HOME, execution: id });
  };
  return (
    <div class="from-here">
      <Act reason={refusalFor(store)} onClick={() => ask("rollback")}>Roll back to here</Act>
      <Act reason={refusalFor(store)} onClick={() => ask("fork")}>Fork here</Act>
      {asked === "rollback" && <Rollback store={store} at={at} requestKey={key} onClose={() => ask(null)} />}
      {asked === "fork" && (
        <Confirm
          title={`Fork at event ${at}?`}
          text="A new execution begins with what was there just after this event. This one stays as it is."
          yes="Fork" onYes={fork} onClose={() => ask(null)}
        />
      )}
    </div>
  );
}

interface Asking {
  store: Store;
  at: number;
  requestKey: string;
  onClose: () => void;
}

/** Shows what a rollback would do before it is asked for. */
function Rollback({ store, at, requestKey, onClose }: Asking) {
  const [plan, keep] = useState<RollbackPlan | null>(null);
  const [failure, fail] = useState("");
  const [then, choose] = useState("continue");
  const [isAccepted, accept] = useState(false);
  useEffect(() => { api.planRollback(store.id, at).then(keep, (error: Error) => fail(error.message)); }, []);
  const run = async (): Promise<void> => {
    await api.rollback(store.id, { to: at, then, accept_irreversible: isAccepted }, requestKey);
    go({ at: null }, true);
    store.again();
  };
  const isReady = plan !== null && (isAccepted || !plan.irreversible.length);
  return (
    <Confirm
      title={`Roll back to event ${at}?`} text="What came after this event is undone, the latest first."
      yes="Roll back" isReady={isReady} onYes={run} onClose={onClose}
    >
      {failure && <p role="alert" class="error">{failure}</p>}
      {!plan && !failure && <p class="quiet" role="status">Finding out what that would do…</p>}
      {plan && <Consequences plan={plan} />}
      {plan && (
        <fieldset>
          <legend>Then</legend>
          <label><input type="radio" name="then" checked={then === "continue"} onChange={() => choose("continue")} /> run again from there</label>
          <label><input type="radio" name="then" checked={then === "stop"} onChange={() => choose("stop")} /> stop</label>
        </fieldset>
      )}
      {plan && plan.irreversible.length > 0 && (
        <label class="warning">
          <input type="checkbox" checked={isAccepted} onChange={(event) => accept(event.currentTarget.checked)} />
          {" "}Effects of {plan.irreversible.join(", ")} cannot be undone. Roll back all the same.
        </label>
      )}
    </Confirm>
  );
}

function Consequences({ plan }: { plan: RollbackPlan }) {
  const found = consequences(plan);
  if (!found.length) return <p class="quiet">No task is touched.</p>;
  return (
    <dl class="plan" aria-label="What it does">
      {found.map(([what, tasks]) => <div key={what}><dt>{what}</dt><dd>{tasks}</dd></div>)}
    </dl>
  );
}
