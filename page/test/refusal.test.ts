import { expect, test } from "vitest";
import { archiveRefusal, roleRefusal } from "../src/model/refusal";

test("a viewer is told which role it takes, and nobody else is kept from anything", () => {
  expect(roleRefusal("viewer")).toContain("operator");
  expect([roleRefusal("operator"), roleRefusal("admin"), roleRefusal(null)]).toEqual(["", "", ""]);
});

test("what is archived says where it lies and how it comes back", () => {
  expect(archiveRefusal("file:///kept/one.talka.sqlite")).toMatch(/file:\/\/\/kept\/one.*talka import/);
  expect(archiveRefusal(null)).toBe("");
});
