import { Fragment } from "preact";
import { useState } from "preact/hooks";
import { get } from "../api/client";
import type { Certified } from "../api/types";
import { t } from "../i18n";
import { parseDna } from "../lib/dna";
import { loss, number, percent } from "../lib/format";
import { useLoaded } from "../lib/hooks";
import { actionOn, type Row, rows, verification } from "../lib/versions";
import { overview } from "../state";
import { ActionDialog, type Wish } from "../ui/actions";
import { Badge, Card, Copy, DnaName, Fact, Notice, Scroll, Short, Value, When } from "../ui/basics";
import { VersionState } from "../ui/state";

export function Versions({ onChanged }: { onChanged: () => void }) {
  const model = overview.value;
  const certified = useLoaded(
    (signal) => get<Certified>("/api/models/certified", signal),
    30,
    model?.versions.map((version) => version.dna + version.state).join(),
  );
  const [wish, setWish] = useState<Wish | null>(null);
  const [open, setOpen] = useState<string | null>(null);
  const found = rows(model, certified.data?.models ?? []);
  if (!model || (!certified.data && !certified.error)) return <p class="faint">{t("loading")}</p>;
  return (
    <>
      {certified.error && <Notice tone="bad">{certified.error.message}</Notice>}
      {!model.known && <Notice tone="warn">{t("notKnown")}</Notice>}
      <Card title={t("versions")} note={t("versionsNote")} class="wide">
        {found.length === 0 ? (
          <p class="faint">{t("noVersions")}</p>
        ) : (
          <Scroll class="scroll" name={t("versions")}>
            <table class="stacks">
              <thead>
                <tr>
                  <th scope="col">{t("version")}</th>
                  <th scope="col">{t("state")}</th>
                  <th scope="col">{t("verification")}</th>
                  <th scope="col" class="right">
                    {t("exact")}
                  </th>
                  <th scope="col" class="right">
                    {t("facts")}
                  </th>
                  <th scope="col" class="right">
                    {t("loss")}
                  </th>
                  <th scope="col">{t("createdAt")}</th>
                  <th scope="col">
                    <span class="hidden">{t("actions")}</span>
                  </th>
                </tr>
              </thead>
              <tbody>
                {found.map((row) => (
                  <Fragment key={row.dna}>
                    <Line
                      row={row}
                      open={open === row.dna}
                      onOpen={() => setOpen(open === row.dna ? null : row.dna)}
                      onWish={setWish}
                    />
                    {open === row.dna && <More row={row} />}
                  </Fragment>
                ))}
              </tbody>
            </table>
          </Scroll>
        )}
      </Card>
      {model.known && (
        <Card title={t("resetTitle")} note={t("resetNote")} class="wide">
          <button type="button" class="danger" onClick={() => setWish({ kind: "reset" })}>
            {t("reset")}…
          </button>
        </Card>
      )}
      {wish && (
        <ActionDialog
          wish={wish}
          count={found.filter((row) => row.state !== "Deleted").length}
          onClose={() => setWish(null)}
          onDone={onChanged}
        />
      )}
    </>
  );
}

function Line(props: { row: Row; open: boolean; onOpen: () => void; onWish: (wish: Wish) => void }) {
  const { row } = props;
  const model = overview.value;
  const checked = verification(row, model);
  const action = actionOn(row, model);
  const { version } = parseDna(row.dna);
  return (
    <tr class={row.dna === model?.current?.dna ? "current" : ""}>
      <th scope="row">
        <DnaName dna={row.dna} />
      </th>
      <td data-label={t("state")}>
        <VersionState state={row.state} />
        {row.reason && !row.quarantine && <p class="note">{row.reason}</p>}
      </td>
      <td data-label={t("verification")}>
        {checked.tone === "plain" ? (
          <span class="note" title={checked.why ?? ""}>
            {t(checked.key)}
          </span>
        ) : (
          <span title={checked.why ?? ""}>
            <Badge tone={checked.tone}>{t(checked.key)}</Badge>
            {checked.tone === "bad" && <p class="note">{checked.why}</p>}
          </span>
        )}
      </td>
      <td class="right" data-label={t("exact")}>
        <Value text={percent(row.scores?.exact)} />
      </td>
      <td class="right" data-label={t("facts")}>
        <Value text={percent(row.scores?.factsContained)} />
      </td>
      <td class="right" data-label={t("loss")}>
        <Value text={loss(row.scores?.loss)} />
      </td>
      <td data-label={t("createdAt")}>
        <When at={row.createdAt} />
      </td>
      <td class="right nowrap wide">
        <button
          type="button"
          class="quiet small"
          aria-expanded={props.open}
          aria-label={`${t("details")} ${version}`}
          onClick={props.onOpen}
        >
          {t("details")}
        </button>
        {action && (
          <button
            type="button"
            class="small"
            aria-label={t(action === "rollback" ? "rollBackTo" : "promoteVersion", { version })}
            onClick={() => props.onWish({ kind: action, row })}
          >
            {t(action === "rollback" ? "rollBack" : "promote")}…
          </button>
        )}
      </td>
    </tr>
  );
}

function More({ row }: { row: Row }) {
  const checked = verification(row, overview.value);
  return (
    <tr class="more">
      <td colSpan={8}>
        <dl class="facts">
          <Fact name={t("version")} wide>
            <code translate={false}>{row.dna}</code> <Copy text={row.dna} />
          </Fact>
          <Fact name={t("verification")}>
            {t(checked.key)}
            {checked.why && <span class="note">: {checked.why}</span>}
          </Fact>
          <Fact name={t("parent")}>{row.parent ? <Short dna={row.parent} /> : t("baseModel")}</Fact>
          {row.type && <Fact name={t("type")}>{row.type}</Fact>}
          {row.run && (
            <Fact name={t("run")}>
              <a href={`#/training/${encodeURIComponent(row.run)}`}>{row.run}</a>
            </Fact>
          )}
          <Fact name={t("questionsAsked")}>
            <Value text={number(row.scores?.questions)} />
          </Fact>
          {row.folder && (
            <>
              <Fact name={t("dataSets")}>{row.folder.datasets?.join(", ") || t("unknown")}</Fact>
              <Fact name={t("samplesUsed")}>
                <Value text={number(row.folder.samplesProcessed)} />
              </Fact>
            </>
          )}
          {row.digest && (
            <Fact name={t("digest")} wide>
              <code translate={false}>{row.digest}</code>
            </Fact>
          )}
        </dl>
      </td>
    </tr>
  );
}
