import { type Key, t } from "../i18n";
import { toneOf } from "../lib/versions";
import { Badge, type Tone } from "./basics";

const VERSION_STATES: Record<string, Key> = {
  Current: "stateCurrent",
  Previous: "statePrevious",
  Candidate: "stateCandidate",
  Certified: "stateCertified",
  Rejected: "stateRejected",
  Quarantined: "stateQuarantined",
  Deleted: "stateDeleted",
  Listed: "stateListed",
};

export function VersionState({ state }: { state: string }) {
  const key = VERSION_STATES[state];
  return <Badge tone={toneOf(state)}>{key ? t(key) : state}</Badge>;
}

const RUN_STATES: Record<string, { key: Key; tone: Tone }> = {
  queued: { key: "stateQueued", tone: "plain" },
  running: { key: "stateRunning", tone: "info" },
  certified: { key: "stateCertified", tone: "good" },
  rejected: { key: "stateRejected", tone: "warn" },
  failed: { key: "stateFailed", tone: "bad" },
};

export function RunState({ state }: { state: string }) {
  const found = RUN_STATES[state];
  return <Badge tone={found?.tone ?? "plain"}>{found ? t(found.key) : state}</Badge>;
}

const OUTCOMES: Record<string, { key: Key; tone: Tone }> = {
  Pending: { key: "outcomePending", tone: "info" },
  Succeeded: { key: "outcomeSucceeded", tone: "good" },
  Refused: { key: "outcomeRefused", tone: "warn" },
  Failed: { key: "outcomeFailed", tone: "bad" },
};

export function Outcome({ outcome }: { outcome: string }) {
  const found = OUTCOMES[outcome];
  return <Badge tone={found?.tone ?? "plain"}>{found ? t(found.key) : outcome}</Badge>;
}

const VERBS: Record<string, Key> = {
  promote: "verbPromote",
  rollback: "verbRollback",
  release: "verbRelease",
  reset: "verbReset",
};

export function verb(name: string): string {
  const key = VERBS[name];
  return key ? t(key) : name;
}

const LANGUAGES: Record<string, Key> = { sv: "languageSv", en: "languageEn", ensv: "languageEnsv" };

export function languageName(code: string | null | undefined): string {
  if (!code || code === "unknown") return t("unknown");
  const key = LANGUAGES[code];
  return key ? t(key) : code;
}
