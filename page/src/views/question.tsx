/** What a task asks a person, and the choices to answer it with. */
import { useEffect, useState } from "preact/hooks";
import { api } from "../api";
import type { Question } from "../model/events";
import { words } from "../model/format";
import type { Store } from "../store";
import { Act, refusalFor } from "./act";

export function Answer({ store, id }: { store: Store; id: string }) {
  const [question, keep] = useState<Question | null>(null);
  const [comment, say] = useState("");
  const [failure, fail] = useState("");
  const [isBusy, setBusy] = useState(false);
  useEffect(() => {
    api.questions(store.id).then(
      (all) => keep(all.find((each) => each.task_id === id) ?? null),
      (error: Error) => fail(error.message),
    );
  }, [id]);
  const answer = async (choice: string): Promise<void> => {
    setBusy(true);
    try {
      await api.answer(store.id, id, choice, comment);
    } catch (error) {
      fail((error as Error).message);
      setBusy(false);
    }
  };
  if (failure) return <p role="alert" class="error">{failure}</p>;
  if (!question) return null;
  return (
    <section class="question" aria-label="Question">
      <h3>{question.assignees.length ? `Asks ${question.assignees.join(", ")}` : "Asks"}</h3>
      <p>{question.question}</p>
      <label>Comment <input value={comment} onInput={(event) => say(event.currentTarget.value)} /></label>
      <div class="choices">
        {question.choices.map((choice, index) => (
          <Act key={choice} reason={refusalFor(store)} class={index ? "" : "primary"} isBusy={isBusy} onClick={() => void answer(choice)}>
            {words(choice)}
          </Act>
        ))}
      </div>
    </section>
  );
}
