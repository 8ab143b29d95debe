// Goal: what is printed in pieces is shown as lines, each attempt's and channel's by itself.
import { describe, expect, it } from "vitest";
import { left } from "../src/model/format";
import { LINES_MAX, Lines } from "../src/model/tasklog";

const part = (text: string, more = {}) => ({ attempt: 1, channel: "stdout", at: 1, text, dropped: 0, ...more });

describe("lines", () => {
  it("are put together from parts, each channel by itself", () => {
    const lines = new Lines();
    for (const each of [part("a"), part("x", { channel: "stderr" }), part("b\n\nc"), part("y\n", { channel: "stderr" })]) lines.take(each);
    expect(lines.lines.map((line) => [line.channel, line.text])).toEqual([
      ["stdout", "ab"], ["stderr", "xy"], ["stdout", ""], ["stdout", "c"],
    ]);
  });

  it("say what was not kept, and are no more than can be shown", () => {
    const lines = new Lines();
    lines.take(part("z".repeat(3), { dropped: 1234 }));
    expect(lines.lines.map((line) => line.text)).toEqual(["zzz", "[1,234 more bytes were not kept]"]);
    lines.take(part("n\n".repeat(LINES_MAX)));
    expect([lines.lines.length, lines.left]).toEqual([LINES_MAX, 2]);
  });
});

describe("what is left", () => {
  it("is told with its interval, and only where there is one", () => {
    expect(left(61.2, 90)).toBe("about 1 min 2 s left, in 9 of 10 cases at most 1 min 30 s");
    expect(left(3, 3)).toBe("about 3 s left");
    expect(left(-2, 0.2)).toBe("about 1 s left");
    expect(left(-5, -1)).toBe("");
  });
});
