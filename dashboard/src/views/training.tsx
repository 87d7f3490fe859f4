import { useEffect, useState } from "preact/hooks";
import { get } from "../api/client";
import { watchRun } from "../api/live";
import type { Run, RunMetrics, Runs } from "../api/types";
import { t } from "../i18n";
import { duration, loss, number, percent } from "../lib/format";
import { useLoaded } from "../lib/hooks";
import { Badge, Card, DnaName, Fact, Notice, Scroll, Short, Value, When } from "../ui/basics";
import { LossChart } from "../ui/chart";
import { languageName, RunState } from "../ui/state";

export function Training({ chosen }: { chosen: string | null }) {
  const runs = useLoaded((signal) => get<Runs>("/api/training/runs", signal), 5);
  if (!runs.data && !runs.error) return <p class="faint">{t("loading")}</p>;
  const found = runs.data?.runs ?? [];
  const shown =
    found.find((run) => run.name === chosen) ??
    found.find((run) => run.state === "running") ??
    found[0] ??
    null;
  return (
    <>
      {runs.error && <Notice tone="bad">{runs.error.message}</Notice>}
      {shown && <OneRun key={shown.name} run={shown} />}
      <Card title={t("training")} note={t("trainingNote")} class="wide">
        {found.length === 0 ? <p class="faint">{t("noRuns")}</p> : <Table runs={found} shown={shown} />}
      </Card>
    </>
  );
}

function Table({ runs, shown }: { runs: Run[]; shown: Run | null }) {
  return (
    <Scroll class="scroll" name={t("training")}>
      <table class="stacks">
        <thead>
          <tr>
            <th scope="col">{t("run")}</th>
            <th scope="col">{t("state")}</th>
            <th scope="col">{t("progress")}</th>
            <th scope="col" class="right">
              {t("loss")}
            </th>
            <th scope="col" class="right">
              {t("exact")}
            </th>
            <th scope="col">{t("result")}</th>
            <th scope="col">{t("started")}</th>
            <th scope="col">{t("took")}</th>
          </tr>
        </thead>
        <tbody>
          {runs.map((run) => (
            <tr key={run.name} class={run === shown ? "current" : ""}>
              <th scope="row">
                <a
                  href={`#/training/${encodeURIComponent(run.name)}`}
                  aria-label={t("chooseRun", { run: run.name })}
                  aria-current={run === shown ? "true" : undefined}
                >
                  {run.name}
                </a>
                <p class="note">{run.datasets.join(", ")}</p>
              </th>
              <td data-label={t("state")}>
                <RunState state={run.state} />
              </td>
              <td data-label={t("progress")}>
                <Bar run={run} />
              </td>
              <td class="right" data-label={t("loss")}>
                <Value text={loss(run.loss)} />
              </td>
              <td class="right" data-label={t("exact")}>
                <Value text={percent(run.scores?.exact)} />
              </td>
              <td data-label={t("result")}>
                {run.dna ? <Short dna={run.dna} /> : <span class="note">{run.reason}</span>}
              </td>
              <td data-label={t("started")}>
                <When at={run.startedAt} />
              </td>
              <td data-label={t("took")}>{took(run)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </Scroll>
  );
}

function Bar({ run }: { run: Run }) {
  return (
    <span class="bar">
      <progress max={100} value={run.percent} aria-label={`${t("progress")} ${run.name}`} />
      <span class="number">{percent(run.percent / 100)}</span>
    </span>
  );
}

function took(run: Run): string {
  if (!run.startedAt || !run.completedAt) return "–";
  return duration((Date.parse(run.completedAt) - Date.parse(run.startedAt)) / 1000);
}

/** One run with its curve; while it runs, the service tells of each change and the curve is read again. */
function OneRun({ run }: { run: Run }) {
  const running = run.state === "running" || run.state === "queued";
  const path = `/api/training/${encodeURIComponent(run.name)}/metrics`;
  const metrics = useLoaded((signal) => get<RunMetrics>(path, signal), null, `${run.name} ${run.state}`);
  const [linked, setLinked] = useState(false);
  const { reload } = metrics;

  useEffect(() => {
    if (!running) return;
    const watching = watchRun(run.name, reload, setLinked);
    return () => watching.stop();
  }, [run.name, running]);

  const now = metrics.data;
  const points = now?.training_history ?? [];
  return (
    <Card
      title={run.name}
      class="wide"
      aside={
        <span class="badges">
          {running && (
            <Badge tone={linked ? "good" : "warn"}>
              {linked && <span class="pulse" aria-hidden="true" />}
              {linked ? t("live") : t("notLive")}
            </Badge>
          )}
          <RunState state={run.state} />
        </span>
      }
    >
      {run.message && <p class="note">{run.message}</p>}
      <div class="run">
        <div class="curve">
          {points.length > 0 ? (
            <LossChart run={run.name} points={points} />
          ) : (
            <p class="empty faint">{metrics.error ? metrics.error.message : t("noCurve")}</p>
          )}
          {points.length > 0 && (
            <details>
              <summary>{t("points")}</summary>
              <Scroll class="scroll short" name={t("points")}>
                <table class="plain">
                  <thead>
                    <tr>
                      <th scope="col" class="right">
                        {t("step")}
                      </th>
                      <th scope="col" class="right">
                        {t("loss")}
                      </th>
                    </tr>
                  </thead>
                  <tbody>
                    {points.map((point) => (
                      <tr key={point.step}>
                        <td class="right number">{number(point.step)}</td>
                        <td class="right number">{loss(point.loss)}</td>
                      </tr>
                    ))}
                  </tbody>
                </table>
              </Scroll>
            </details>
          )}
        </div>
        <dl class="lines">
          <Fact name={t("progress")}>
            <Bar run={now ? { ...run, percent: now.progress_percent } : run} />
          </Fact>
          <Fact name={t("loss")}>
            <Value text={loss(now ? now.total_loss : run.loss)} />
          </Fact>
          {run.steps !== null && (
            <Fact name={t("step")}>{t("stepOf", { step: number(run.step), steps: number(run.steps) })}</Fact>
          )}
          <Fact name={t("epoch")}>
            {t("epochOf", {
              epoch: number(now ? now.current_epoch : run.epoch),
              epochs: number(now ? now.total_epochs : run.epochs),
            })}
          </Fact>
          {running && (
            <>
              <Fact name={t("speed")}>
                <Value
                  text={
                    run.tokensPerSecond === null
                      ? t("notMeasured")
                      : t("tokensPerSecond", { count: number(run.tokensPerSecond) })
                  }
                />
              </Fact>
              <Fact name={t("timeLeft")}>
                <Value text={duration(run.etaSeconds)} />
              </Fact>
            </>
          )}
          <Fact name={t("type")}>{run.type}</Fact>
          <Fact name={t("dataSets")}>{run.datasets.join(", ")}</Fact>
          <Fact name={t("languageOf")}>{languageName(run.language)}</Fact>
          {run.autoStopped && <Fact name={t("autoStopped")}>{run.autoStopped}</Fact>}
          {run.dna && (
            <Fact name={t("result")}>
              <DnaName dna={run.dna} />
            </Fact>
          )}
        </dl>
      </div>
    </Card>
  );
}
