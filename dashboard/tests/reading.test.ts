import { expect, test } from "vitest";
import { parseDna } from "../src/lib/dna";
import { timeOf, told } from "../src/lib/ledger";
import { readToken } from "../src/lib/token";

test.each([
  [
    "OneSeek-7B-Zero.v3.0.ensv.dsIdentity-SwedID.0f6a3d11.e20b77c4",
    "v3.0",
    "ensv",
    ["Identity", "SwedID"],
    2,
  ],
  [
    "OneSeek-7B-Zero.v1.493.sv.dsCivicID+Autonomy.f1e2d3c4.b5e6f7g8",
    "v1.493",
    "sv",
    ["CivicID", "Autonomy"],
    2,
  ],
  ["OneSeek-7B-Zero.v1.0.141521ad.90cdf6f1", "v1.0", "", [], 2],
  ["OneSeek-7B-Zero.v1.0.6b30afe8.4539991e.a16f0dd0", "v1.0", "", [], 3],
  ["OneSeek-7B-Zero.v1.1", "v1.1", "", [], 0],
  ["OQT-1.0.v13.2", "v13.2", "", [], 0],
  ["SmolLM2-135M-Instruct", "SmolLM2-135M-Instruct", "", [], 0],
])("%s is read", (text, version, language, sets, hashes) => {
  const dna = parseDna(text);
  expect([dna.version, dna.language, dna.sets, dna.hashes.length]).toEqual([version, language, sets, hashes]);
});

const packed = (claims: unknown) => `h.${Buffer.from(JSON.stringify(claims)).toString("base64url")}.s`;

test("a token says whose it is, for whom, and how long", () => {
  const claims = readToken(
    packed({ sub: "system:serviceaccount:team:åsa", aud: ["oneseek"], exp: 1_700_000_000 }),
  );
  expect(claims?.subject).toBe("system:serviceaccount:team:åsa");
  expect(claims?.audiences).toEqual(["oneseek"]);
  expect(claims?.expires?.toISOString()).toBe("2023-11-14T22:13:20.000Z");
  expect(readToken(packed({ aud: "elsewhere" }))?.audiences).toEqual(["elsewhere"]);
});

test.each(["", "x", "a.b.c", "a.!!!.c"])("%j is no token that says anything", (text) => {
  expect(readToken(text)).toBeNull();
});

test("a block says what it holds, and nothing where it holds nothing", () => {
  const block = { blockNumber: 1, previousHash: "0", timestamp: "t", hash: "h" };
  const actor = { name: "åsa", verified: true };
  expect(
    told({ ...block, data: { type: "promote", content: { actor, to: "v1", reason: "Serving" } } }),
  ).toEqual({
    kind: "promote",
    who: "åsa",
    verified: true,
    what: "Serving",
    dna: "v1",
  });
  expect(told({ ...block, data: {} })).toEqual({ kind: "", who: null, verified: false, what: "", dna: null });
});

test("times come as text or as a Firestore timestamp", () => {
  expect(timeOf("2026-01-01T00:00:00.000Z")).toBe("2026-01-01T00:00:00.000Z");
  expect(timeOf({ _seconds: 0, _nanoseconds: 0 })).toBe("1970-01-01T00:00:00.000Z");
  expect(timeOf(null)).toBeNull();
});
