import { expect, test } from "vitest";
import { en, type Key } from "../src/i18n/en";
import { preferred } from "../src/i18n/preferred";
import { sv } from "../src/i18n/sv";

const keys = Object.keys(en) as Key[];
const blanks = (text: string) => [...text.matchAll(/\{\w+\}/g)].map(String).sort();

test.each(keys)("%s has the same blanks in both languages", (key) => {
  expect(blanks(sv[key])).toEqual(blanks(en[key]));
});

test.each([
  [null, ["sv-SE", "en"], "sv"],
  [null, ["de", "nb", "sv"], "sv"],
  [null, ["en-US", "sv"], "en"],
  [null, ["de"], "en"],
  ["en", ["sv"], "en"],
  ["xx", ["sv"], "sv"],
] as const)("chosen %s in a browser of %s speaks %s", (chosen, browser, expected) => {
  expect(preferred(chosen, browser)).toBe(expected);
});
