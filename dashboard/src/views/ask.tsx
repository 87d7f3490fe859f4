import { useState } from "preact/hooks";
import { ApiError, post } from "../api/client";
import type { MultiAnswer, MultiResponse, QueryAnswer } from "../api/types";
import { type Key, t } from "../i18n";
import { number, percent } from "../lib/format";
import { overview } from "../state";
import { Badge, Card, DnaName, Fact, Notice, Value } from "../ui/basics";

interface Answer {
  role: string;
  model: string;
  text: string;
  preview: boolean;
  confidence: number | null;
  milliseconds: number;
  tokens: number | null;
  error: string;
}

interface Answers {
  question: string;
  answers: Answer[];
  alone: boolean;
  analysis: MultiAnswer["analysis"] | null;
}

const NOT_OFFERED = [404, 405, 501];

export function Ask() {
  const [question, setQuestion] = useState("");
  const [external, setExternal] = useState(false);
  const [busy, setBusy] = useState(false);
  const [failure, setFailure] = useState<string | null>(null);
  const [found, setFound] = useState<Answers | null>(null);

  const go = async () => {
    if (!question.trim() || busy) return;
    setBusy(true);
    setFailure(null);
    try {
      setFound(await compare(question, external));
    } catch (error) {
      setFailure((error as Error).message);
    } finally {
      setBusy(false);
    }
  };

  return (
    <>
      <Card title={t("ask")} note={t("askNote")} class="wide">
        <form
          class="ask"
          onSubmit={(event) => {
            event.preventDefault();
            void go();
          }}
        >
          <label for="question">{t("question")}</label>
          <textarea
            id="question"
            rows={3}
            value={question}
            placeholder={t("questionHint")}
            aria-describedby="ask-note"
            onInput={(event) => setQuestion(event.currentTarget.value)}
            onKeyDown={(event) => {
              if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
                event.preventDefault();
                void go();
              }
            }}
          />
          <div class="between">
            <label class="check">
              <input
                type="checkbox"
                checked={external}
                onChange={(event) => setExternal(event.currentTarget.checked)}
              />
              {t("external")}
            </label>
            <button type="submit" class="primary" disabled={busy || !question.trim()}>
              {busy ? t("asking") : t("askButton")}
            </button>
          </div>
          <p id="ask-note" class="note">
            {t("shortcut")}. {t("askRecorded")}
          </p>
        </form>
        {failure && <Notice tone="bad">{failure}</Notice>}
      </Card>
      <div aria-live="polite" aria-busy={busy}>
        {found ? <Found found={found} /> : <p class="faint">{busy ? t("asking") : t("askedNothing")}</p>}
      </div>
    </>
  );
}

/** The models that are loaded, side by side; where the service compares none, the one that serves. */
async function compare(question: string, external: boolean): Promise<Answers> {
  try {
    const answer = await post<MultiAnswer>("/api/oqt/multi-model-query", {
      question,
      includeExternal: external,
      enableTraining: false, // somebody looks; that is no wish to train
    });
    return {
      question,
      alone: false,
      analysis: answer.analysis,
      answers: answer.modelResponses.map(fromMulti),
    };
  } catch (error) {
    if (!(error instanceof ApiError) || !NOT_OFFERED.includes(error.status)) throw error;
  }
  const answer = await post<QueryAnswer>("/api/oqt/query", { question });
  const base = overview.value?.baseModel === answer.version;
  return {
    question,
    alone: true,
    analysis: null,
    answers: [
      {
        role: base ? "base" : "current",
        model: answer.version,
        text: answer.response,
        preview: false,
        confidence: answer.confidence,
        milliseconds: answer.metadata.latency_ms,
        tokens: answer.metadata.tokens,
        error: "",
      },
    ],
  };
}

function fromMulti(response: MultiResponse): Answer {
  const { role, confidence, latency_ms, tokens, error } = response.metadata;
  return {
    role: role ?? "external",
    model: response.model,
    text: response.responsePreview,
    preview: response.responsePreview.endsWith("...") && response.responsePreview.length > 200,
    confidence: confidence ?? null,
    milliseconds: latency_ms,
    tokens,
    error: error ?? "",
  };
}

const ROLES: Record<string, Key> = {
  current: "roleCurrent",
  previous: "rolePrevious",
  base: "roleBase",
  external: "roleExternal",
};

function Found({ found }: { found: Answers }) {
  return (
    <>
      <p class="asked">{t("quoted", { text: found.question })}</p>
      {found.alone && <Notice tone="info">{t("onlyServing")}</Notice>}
      <div class="answers">
        {found.answers.map((answer) => (
          <One key={`${answer.role} ${answer.model}`} answer={answer} />
        ))}
      </div>
      {found.analysis && found.answers.length > 1 && <Analysis analysis={found.analysis} />}
    </>
  );
}

function One({ answer }: { answer: Answer }) {
  const role = ROLES[answer.role];
  return (
    <article class={`card answer ${answer.role}`}>
      <header>
        <h3>{role ? t(role) : answer.role}</h3>
      </header>
      <DnaName dna={answer.model} />
      {answer.error ? (
        <Notice tone="bad">{t("failedToAnswer", { why: answer.error })}</Notice>
      ) : (
        <p class="said">{answer.text}</p>
      )}
      {answer.preview && <p class="note">{t("previewOnly")}</p>}
      <dl class="facts compact">
        <Fact name={t("confidence")}>
          <Value text={percent(answer.confidence)} />
        </Fact>
        <Fact name={t("latency")}>
          <Value text={short(answer.milliseconds)} />
        </Fact>
        <Fact name={t("tokens")}>
          <Value text={number(answer.tokens)} />
        </Fact>
      </dl>
    </article>
  );
}

function short(milliseconds: number): string {
  return milliseconds < 1000 ? `${number(milliseconds)} ms` : `${number(milliseconds / 1000, 1)} s`;
}

const LEVELS: Record<string, Key> = {
  high: "levelHigh",
  medium: "levelMedium",
  low: "levelLow",
  complete: "levelComplete",
  none: "levelNone",
  excellent: "levelExcellent",
  good: "levelGood",
  fair: "levelFair",
  poor: "levelPoor",
};

function Level({ level }: { level: string }) {
  const key = LEVELS[level];
  return <Badge>{key ? t(key) : level}</Badge>;
}

function Analysis({ analysis }: { analysis: MultiAnswer["analysis"] }) {
  return (
    <Card title={t("agreement")} note={t("agreementNote")} class="wide">
      <dl class="facts">
        <Fact name={t("consensus")}>
          {percent(analysis.consensus.score)} <Level level={analysis.consensus.level} />
        </Fact>
        <Fact name={t("bias")}>
          {t("outOfTen", { score: number(analysis.bias.aggregatedScore, 1) })}{" "}
          <Level level={analysis.bias.level} />
        </Fact>
        <Fact name={t("fairness")}>
          {percent(analysis.fairness.score)} <Level level={analysis.fairness.level} />
        </Fact>
      </dl>
    </Card>
  );
}
