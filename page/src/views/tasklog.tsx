/** What a task prints, line by line as it comes. */
import { useEffect, useRef, useState } from "preact/hooks";
import { PREFIX, one } from "../api";
import { clock } from "../model/format";
import { type LogPart, Lines } from "../model/tasklog";
import { follow } from "../stream";

export function TaskLog({ execution, task, attempts }: { execution: string; task: string; attempts: number }) {
  const lines = useRef(new Lines());
  const [, draw] = useState(0);
  const [failure, fail] = useState("");
  const box = useRef<HTMLPreElement>(null);
  const isAtEnd = useRef(true);
  useEffect(() => {
    const path = `${PREFIX}${one(execution)}/tasks/${encodeURIComponent(task)}/logs/stream`;
    return follow(path, {
      onMessages: (messages) => {
        for (const { event, data } of messages) {
          if (event === "part") lines.current.take(JSON.parse(data) as LogPart);
          if (event === "problem") fail(String((JSON.parse(data) as { detail?: unknown }).detail ?? "it broke off"));
        }
        draw((count) => count + 1);
      },
      onState: (state, error) => {
        // Whoever reconnects is sent all of it again.
        if (state === "live") lines.current = new Lines();
        fail(error?.message ?? "");
      },
    });
  }, [execution, task]);
  useEffect(() => {
    if (box.current && isAtEnd.current) box.current.scrollTop = box.current.scrollHeight;
  });
  const onScroll = (): void => {
    const { scrollTop, scrollHeight, clientHeight } = box.current!;
    isAtEnd.current = scrollHeight - scrollTop - clientHeight < 8;
  };
  const { lines: shown, left } = lines.current;
  if (failure) return <p role="alert" class="error">What it prints cannot be read: {failure}</p>;
  if (!shown.length) return null;
  return (
    <section aria-label="Output">
      <h3>Output</h3>
      {left > 0 && <p class="quiet">{left.toLocaleString("en")} lines before these: <code>talka logs {execution} {task}</code></p>}
      <pre ref={box} class="printed" tabIndex={0} onScroll={onScroll}>
        {shown.map((line, index) => (
          <span key={index + left} class={line.channel} title={`${clock(line.at)} · ${line.channel} · attempt ${line.attempt}`}>
            {attempts > 1 && <b>{line.attempt} </b>}{line.text}{"\n"}
          </span>
        ))}
      </pre>
    </section>
  );
}
