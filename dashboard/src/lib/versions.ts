import type { CertifiedModel, Overview, Scores, Version } from "../api/types";
import { type Key, t } from "../i18n";
import type { Tone } from "../ui/basics";

/** A version as the page lists it: from the OneSeekModel, else only from what lies on the claim. */
export interface Row {
  dna: string;
  state: string;
  type: string | null;
  parent: string | null;
  run: string | null;
  digest: string | null;
  reason: string | null;
  createdAt: string | null;
  scores: Scores | null;
  quarantine: Version["quarantine"];
  folder: CertifiedModel | undefined;
}

export const LISTED = "Listed";

export function rows(model: Overview | null, certified: readonly CertifiedModel[]): Row[] {
  const folders = new Map(certified.map((folder) => [folder.dna, folder]));
  const known: Row[] = (model?.versions ?? []).map((version) => ({
    ...version,
    folder: folders.get(version.dna),
  }));
  const names = new Set(known.map((row) => row.dna));
  const others: Row[] = certified
    .filter((folder) => !names.has(folder.dna))
    .map((folder) => ({
      dna: folder.dna,
      state: LISTED,
      type: null,
      parent: null,
      run: null,
      digest: null,
      reason: null,
      createdAt: folder.createdAt,
      scores: null,
      quarantine: null,
      folder,
    }));
  return [...known, ...others].sort((a, b) => (b.createdAt ?? "").localeCompare(a.createdAt ?? ""));
}

export interface Verification {
  tone: Tone;
  key: Key;
  why: string | null;
}

/** What is known of a version's bytes. Only what serves is looked at again and again. */
export function verification(row: Row, model: Overview | null): Verification {
  if (row.quarantine) {
    const why = [row.quarantine.reason, row.quarantine.message].filter(Boolean).join(": ");
    return { tone: "bad", key: "refusedBy", why };
  }
  if (row.state === LISTED) return { tone: "plain", key: "notChecked", why: null };
  if (row.dna === model?.current?.dna) {
    const found = model.conditions.find((condition) => condition.type === "Verified");
    if (found?.status === "True") return { tone: "good", key: "verifiedWhileServing", why: found.message };
    return { tone: found ? "bad" : "plain", key: "notVerified", why: found?.message ?? null };
  }
  return { tone: "plain", key: "signed", why: t("signedWhy") };
}

export type Action = "promote" | "rollback" | null;

/** What a person may ask of a version. The operator has the last word. */
export function actionOn(row: Row, model: Overview | null): Action {
  if (!model?.known || row.state === LISTED) return null;
  if (row.dna === model.current?.dna || ["Quarantined", "Deleted"].includes(row.state)) return null;
  return row.dna === model.previous?.dna ? "rollback" : "promote";
}

const TONES: Record<string, Tone> = {
  Current: "good",
  Previous: "info",
  Candidate: "info",
  Rejected: "warn",
  Quarantined: "bad",
};

export function toneOf(state: string): Tone {
  return TONES[state] ?? "plain";
}

/** From what answers back to the base model. A parent that is gone from the list ends the line, and is named. */
export function lineage(model: Overview): { dna: string; row: Version | undefined }[] {
  const all = new Map(model.versions.map((version) => [version.dna, version]));
  const line: { dna: string; row: Version | undefined }[] = [];
  const seen = new Set<string>();
  let dna = model.current?.dna ?? null;
  while (dna && !seen.has(dna)) {
    seen.add(dna);
    const row = all.get(dna);
    line.push({ dna, row });
    dna = row?.parent ?? null;
  }
  return line;
}
