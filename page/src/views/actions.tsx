/** What can be done about an execution as it stands now; each asks first. */
import { useMemo, useState } from "preact/hooks";
import { api, newKey } from "../api";
import { type Store, isOver } from "../store";
import { Act, refusalFor } from "./act";
import { Confirm } from "./parts";

const QUESTIONS = {
  cancel: ["Cancel", "Cancel this execution?", "What runs is asked to end, and nothing new starts. Results that are there are kept."],
  pause: ["Pause", "Pause this execution?", "Nothing new starts until it is resumed; what runs goes on."],
  resume: ["Resume", "Resume this execution?", "Work goes on where it was."],
} as const;

export function Actions({ store }: { store: Store }) {
  const [asked, ask] = useState<keyof typeof QUESTIONS | null>(null);
  const { state } = store.now.value;
  const possible = state.status === "running" ? ["pause", "cancel"] as const
    : state.status === "paused" ? ["resume", "cancel"] as const : [];
  const isRestartable = isOver(state) && !["rejected", "succeeded"].includes(state.status);
  return (
    <div class="actions">
      {possible.map((each) => (
        <Act key={each} reason={refusalFor(store)} onClick={() => ask(each)}>{QUESTIONS[each][0]}</Act>
      ))}
      {isRestartable && <Restart store={store} />}
      {asked && (
        <Confirm
          title={QUESTIONS[asked][1]} text={QUESTIONS[asked][2]} yes={QUESTIONS[asked][0]}
          onYes={() => api.act(store.id, asked)} onClose={() => ask(null)}
        />
      )}
    </div>
  );
}

/** Runs a task and all behind it again, or everything that did not succeed. */
export function Restart({ store, task = "" }: { store: Store; task?: string }) {
  const [isAsked, ask] = useState(false);
  const key = useMemo(newKey, [isAsked]);
  const name = task ? "Restart from here" : "Restart";
  const title = task ? `Restart from ${task}?` : "Restart this execution?";
  const text = task ? "It runs again, and so does every task behind it. All other results are kept."
    : "Everything that did not succeed runs again. What succeeded is kept.";
  const run = async (): Promise<void> => {
    await api.restart(store.id, task, key);
    store.again();
  };
  return (
    <div>
      <Act reason={refusalFor(store)} onClick={() => ask(true)}>{name}</Act>
      {isAsked && <Confirm title={title} text={text} yes="Restart" onYes={run} onClose={() => ask(false)} />}
    </div>
  );
}
