/**
 * Server-Sent Events over fetch, because EventSource can send no token.
 * https://html.spec.whatwg.org/multipage/server-sent-events.html
 */
import { ApiError, headers, problemOf } from "./api";

export interface Message {
  id: string;
  event: string;
  data: string;
}

/** Takes text in pieces as it comes, and returns the messages that are complete. */
export class Parser {
  private rest = "";

  push(text: string): Message[] {
    const blocks = (this.rest + text).split("\n\n");
    this.rest = blocks.pop() ?? "";
    return blocks.flatMap((block) => {
      const message: Message = { id: "", event: "message", data: "" };
      for (const line of block.split("\n")) {
        const [name, value] = [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 1).trimStart()];
        if (name === "id" || name === "event" || name === "data") message[name] = value;
      }
      return message.data ? [message] : [];
    });
  }
}

export interface Follower {
  /** Called with all messages that came together. */
  onMessages: (messages: Message[]) => void;
  onState: (state: "live" | "lost" | "over", error?: ApiError) => void;
}

const PAUSES_MS = [500, 1000, 2000, 5000];

/** Follow a stream until it is over, reconnecting where it broke; returns how to stop. */
export function follow(path: string, follower: Follower): () => void {
  const controller = new AbortController();
  void run(path, follower, controller.signal);
  return () => controller.abort();
}

async function run(path: string, follower: Follower, signal: AbortSignal): Promise<void> {
  let last = "";
  let failures = 0;
  while (!signal.aborted) {
    try {
      const more: Record<string, string> = last ? { "Last-Event-ID": last } : {};
      const response = await fetch(path, { headers: { ...headers(), ...more }, signal });
      if (response.status === 204) return follower.onState("over");
      if (!response.ok || !response.body) throw await problemOf(response);
      follower.onState("live");
      failures = 0;
      for await (const messages of read(response.body)) {
        last = messages[messages.length - 1]!.id || last;
        follower.onMessages(messages);
        if (messages.some((message) => message.event === "over")) return follower.onState("over");
      }
    } catch (error) {
      if (signal.aborted) return;
      const isFinal = error instanceof ApiError && error.status < 500;
      follower.onState("lost", error instanceof ApiError ? error : undefined);
      if (isFinal) return;
    }
    await pause(PAUSES_MS[Math.min(failures++, PAUSES_MS.length - 1)]!, signal);
  }
}

async function* read(body: ReadableStream<Uint8Array>): AsyncGenerator<Message[]> {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  const parser = new Parser();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const messages = parser.push(decoder.decode(value, { stream: true }));
    if (messages.length) yield messages;
  }
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener("abort", () => { clearTimeout(timer); resolve(); });
  });
}
