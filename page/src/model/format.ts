/** Numbers and names for people. */

export function duration(seconds: number): string {
  if (seconds < 0.0005) return "0 ms";
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 59.95) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  if (hours >= 48) return `${Math.floor(hours / 24)} d ${hours % 24} h`;
  return hours ? `${hours} h ${minutes} min` : `${minutes} min ${rest} s`;
}

export function ago(instant: number, now: number): string {
  const seconds = now - instant;
  return seconds < 2 ? "just now" : `${duration(Math.floor(seconds)).replace(".0 ", " ")} ago`;
}

export function clock(instant: number): string {
  const date = new Date(instant * 1000);
  const pad = (value: number, width = 2): string => String(value).padStart(width, "0");
  const time = `${pad(date.getHours())}:${pad(date.getMinutes())}:${pad(date.getSeconds())}`;
  return `${time}.${pad(date.getMilliseconds(), 3)}`;
}

export function words(name: string): string {
  return name.replaceAll("_", " ");
}

/** Return about `count` round steps from 0 to `length`, for an axis. */
export function ticks(length: number, count: number): number[] {
  if (!(length > 0)) return [0];
  const rough = length / Math.max(1, count);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = ([1, 2, 5].find((each) => each * power >= rough) ?? 10) * power;
  return Array.from({ length: Math.floor(length / step) + 1 }, (_, index) => index * step);
}

/** Say what an event is about in one line. */
export function summary(event: Record<string, unknown>): string {
  const skipped = new Set(["version", "at", "type", "id", "cause", "seq", "execution_id", "task_id"]);
  return Object.entries(event)
    .filter(([name]) => !skipped.has(name))
    .map(([name, value]) => {
      const text = typeof value === "string" ? value : JSON.stringify(value);
      return `${words(name)}: ${text.length > 120 ? `${text.slice(0, 117)}…` : text}`;
    })
    .join(" · ");
}

/** Say how long something still takes, in half and in nine of ten cases; nothing of what should be over. */
export function left(p50: number, p90: number): string {
  if (p90 <= 0) return "";
  const whole = (seconds: number): string => duration(Math.max(1, Math.ceil(seconds))).replace(".0 ", " ");
  const [half, nearly] = [whole(p50), whole(p90)];
  return half === nearly ? `about ${half} left` : `about ${half} left, in 9 of 10 cases at most ${nearly}`;
}
