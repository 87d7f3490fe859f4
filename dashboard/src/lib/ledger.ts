import type { LedgerBlock } from "../api/types";

/** A block in a line: who, and what of which version. Blocks hold what their writers put in; nothing is added. */
export interface Told {
  kind: string;
  who: string | null;
  verified: boolean;
  what: string;
  dna: string | null;
}

export function told(block: LedgerBlock): Told {
  const data = record(block.data);
  const content = record(data.content);
  const actor = record(content.actor);
  const kind = text(data.type) ?? "";
  const dna = text(content.to) ?? text(content.dna) ?? text(content.newVersion) ?? text(content.modelVersion);
  const what =
    text(content.question) ?? text(content.reason) ?? text(content.trainingId) ?? text(data.message) ?? "";
  return { kind, who: text(actor.name), verified: actor.verified === true, what, dna };
}

/** A Firestore timestamp as JSON, or ISO text. */
export function timeOf(value: unknown): string | null {
  if (typeof value === "string") return value;
  const seconds = record(value)._seconds;
  return typeof seconds === "number" ? new Date(seconds * 1000).toISOString() : null;
}

function record(value: unknown): Record<string, unknown> {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
}

function text(value: unknown): string | null {
  return typeof value === "string" && value !== "" ? value : null;
}
