/** What a task printed: text that comes in parts, put together to lines of each attempt and channel. */

export interface LogPart {
  attempt: number;
  channel: string;
  at: number;
  text: string;
  dropped: number;
}

export interface LogLine {
  attempt: number;
  channel: string;
  at: number;
  text: string;
}

/** So many lines are shown; more would only slow the page down. */
export const LINES_MAX = 1000;

/** Gathers parts; the last line of each attempt and channel may still be unfinished. */
export class Lines {
  readonly lines: LogLine[] = [];
  /** How many lines before the first one shown were let go. */
  left = 0;
  private readonly open = new Map<string, LogLine>();

  take(part: LogPart): void {
    const key = `${part.attempt} ${part.channel}`;
    const texts = part.text.split("\n");
    texts.forEach((text, index) => {
      const begun = this.open.get(key);
      if (begun) begun.text += text;
      else if (text || index < texts.length - 1) this.add(key, part, text);
      if (index < texts.length - 1) this.open.delete(key);
    });
    if (part.dropped) {
      this.open.delete(key);
      this.add(key, part, `[${part.dropped.toLocaleString("en")} more bytes were not kept]`);
      this.open.delete(key);
    }
    const more = this.lines.length - LINES_MAX;
    if (more > 0) {
      this.lines.splice(0, more);
      this.left += more;
    }
  }

  private add(key: string, part: LogPart, text: string): void {
    const line = { attempt: part.attempt, channel: part.channel, at: part.at, text };
    this.lines.push(line);
    this.open.set(key, line);
  }
}
