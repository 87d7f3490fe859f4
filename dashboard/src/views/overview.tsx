import { get } from "../api/client";
import type { Metrics, Overview as Model, ServiceStatus } from "../api/types";
import { t } from "../i18n";
import { parseDna } from "../lib/dna";
import { ago, duration, loss, number, percent } from "../lib/format";
import { useLoaded } from "../lib/hooks";
import { lineage } from "../lib/versions";
import { overview, status } from "../state";
import { Badge, Card, DnaName, Fact, Notice, Short, Value, When } from "../ui/basics";
import { languageName, Outcome, VersionState, verb } from "../ui/state";

export function Overview() {
  const model = overview.value;
  const service = status.value;
  const measured = useLoaded(
    (signal) => get<Metrics>("/api/oqt/metrics", signal),
    60,
    service?.model.version,
  );
  if (!model || !service) return <p class="faint">{t("loading")}</p>;
  return (
    <>
      {!model.known && <Notice tone="warn">{t("notKnown")}</Notice>}
      <div class="grid">
        <Serving model={model} service={service} />
        <Quality metrics={measured.data} />
        <Lineage model={model} />
        <Conditions model={model} />
        <div class="stack">
          <LastRequest model={model} />
          <Trained metrics={measured.data} />
        </div>
      </div>
    </>
  );
}

function Serving({ model, service }: { model: Model; service: ServiceStatus }) {
  const { dna, version } = service.model;
  const parts = dna ? parseDna(dna) : null;
  const verified = model.conditions.find((condition) => condition.type === "Verified");
  return (
    <Card
      title={t("servingNow")}
      class="wide"
      aside={
        <Badge tone={service.health.operational ? "good" : "bad"}>
          {service.health.operational ? t("answers") : t("doesNotAnswer")}
        </Badge>
      }
    >
      {dna ? <DnaName dna={dna} large /> : <p class="dna large">{<strong>{version}</strong>}</p>}
      {!dna && <p class="note">{t("noVersionYet")}</p>}
      <dl class="facts">
        {model.current && model.current.dna === dna && (
          <Fact name={t("since")}>
            <When at={model.current.since} />
          </Fact>
        )}
        <Fact name={t("verification")}>
          {!verified ? (
            <span class="faint">{t("unknown")}</span>
          ) : (
            <>
              <Badge tone={verified.status === "True" ? "good" : "bad"}>
                {verified.status === "True" ? t("verified") : t("notVerified")}
              </Badge>{" "}
              <span class="note">{verified.message}</span>
            </>
          )}
        </Fact>
        {parts && (
          <Fact name={t("languageOf")}>{languageName(parts.language || service.model.language)}</Fact>
        )}
        {parts && parts.sets.length > 0 && <Fact name={t("dataSets")}>{parts.sets.join(", ")}</Fact>}
        <Fact name={t("baseModel")}>
          <code translate={false}>{model.baseModel}</code>
        </Fact>
        <Fact name={t("engineCheck")}>
          <Value text={`${number(service.health.responseTime_ms)} ms`} />
        </Fact>
        <Fact name={t("uptime")}>{duration(service.health.uptime)}</Fact>
        {model.known && (
          <Fact name={t("promotionMode")}>
            {model.pinned !== "auto" ? (
              <>
                {t("pinnedTo")} <Short dna={model.pinned} />
              </>
            ) : model.mode === "Manual" ? (
              t("modeManual")
            ) : (
              t("modeAutomatic")
            )}
          </Fact>
        )}
        {model.strategy && (
          <Fact name={t("howItTakesOver")}>
            {model.strategy.name}
            {model.strategy.message && <span class="note">: {model.strategy.message}</span>}
          </Fact>
        )}
      </dl>
      <div class="roles">
        {model.candidate && (
          <div>
            <h3>{t("candidate")}</h3>
            <DnaName dna={model.candidate.dna} />
            <p class="note">
              {model.candidate.provedAt
                ? t("candidateWaits", { when: ago(model.candidate.provedAt) })
                : t("candidateRolling")}
            </p>
          </div>
        )}
        {model.previous && (
          <div>
            <h3>{t("previous")}</h3>
            <DnaName dna={model.previous.dna} />
          </div>
        )}
      </div>
    </Card>
  );
}

function Quality({ metrics }: { metrics: Metrics | undefined }) {
  const held = metrics?.metrics.heldOut;
  const lines: [string, string][] = [
    [t("exactAnswers"), percent(held?.exact)],
    [t("factsContained"), percent(held?.factsContained)],
    [t("lossHeldOut"), loss(held?.loss)],
    [t("questionsAsked"), number(held?.questions)],
    [t("consensus"), percent(metrics?.metrics.consensus)],
    [t("fairness"), percent(metrics?.metrics.fairness)],
    [t("bias"), number(metrics?.metrics.bias, 2)],
  ];
  return (
    <Card title={t("quality")} note={t("qualityNote")}>
      <dl class="lines">
        {lines.map(([name, text]) => (
          <Fact key={name} name={name}>
            <Value text={text} />
          </Fact>
        ))}
      </dl>
    </Card>
  );
}

function Lineage({ model }: { model: Model }) {
  return (
    <Card title={t("lineage")} note={t("lineageNote")}>
      <ol class="lineage">
        {lineage(model).map(({ dna, row }) => (
          <li key={dna}>
            <DnaName dna={dna}>{row && <VersionState state={row.state} />}</DnaName>
            <p class="note">
              {row?.run && `${t("trainedBy", { run: row.run })} · `}
              {row?.createdAt && <When at={row.createdAt} />}
              {row?.scores && ` · ${t("exact")} ${percent(row.scores.exact)}`}
            </p>
          </li>
        ))}
        <li>
          <strong>{model.baseModel}</strong> <Badge>{t("baseModel")}</Badge>
          {model.baseDigest && (
            <p class="note">
              <code translate={false}>{model.baseDigest.slice(0, 19)}…</code>
            </p>
          )}
        </li>
      </ol>
    </Card>
  );
}

function Conditions({ model }: { model: Model }) {
  return (
    <Card title={t("conditions")}>
      {model.conditions.length === 0 ? (
        <p class="faint">{t("unknown")}</p>
      ) : (
        <ul class="conditions">
          {model.conditions.map((condition) => {
            const bad =
              condition.type === "Stalled" ? condition.status === "True" : condition.status === "False";
            return (
              <li key={condition.type}>
                <span
                  class={`dot ${bad ? "bad" : condition.status === "True" ? "good" : "plain"}`}
                  aria-hidden="true"
                />
                <div>
                  <strong>{condition.type}</strong>{" "}
                  <Badge tone={bad ? "bad" : "plain"}>{condition.reason}</Badge>
                  <p class="note">{condition.message}</p>
                </div>
              </li>
            );
          })}
        </ul>
      )}
    </Card>
  );
}

function LastRequest({ model }: { model: Model }) {
  const asked = model.request;
  return (
    <Card title={t("lastRequest")} aside={asked && <Outcome outcome={asked.outcome} />}>
      {!asked ? (
        <p class="faint">{t("noRequest")}</p>
      ) : (
        <>
          <p>
            {verb(asked.verb)} {asked.dna ? <Short dna={asked.dna} /> : asked.value} ·{" "}
            <When at={asked.createdAt} />
          </p>
          {asked.message && <p class="note">{asked.message}</p>}
          {asked.requestedBy && (
            <p class="note">
              {t("requestedBy")} <code translate={false}>{asked.requestedBy}</code> (
              {asked.verified ? t("actorVerified") : t("actorUnverified")})
            </p>
          )}
        </>
      )}
    </Card>
  );
}

function Trained({ metrics }: { metrics: Metrics | undefined }) {
  return (
    <Card title={t("trainedSoFar")}>
      <dl class="lines">
        <Fact name={t("majorCount")}>
          <Value text={number(metrics?.training.weeklyBatches)} />
        </Fact>
        <Fact name={t("microCount")}>
          <Value text={number(metrics?.training.microBatches)} />
        </Fact>
        <Fact name={t("samples")}>
          <Value text={number(metrics?.training.totalSamples)} />
        </Fact>
        <Fact name={t("lastTraining")}>
          <When at={metrics?.training.lastTraining} />
        </Fact>
      </dl>
    </Card>
  );
}
