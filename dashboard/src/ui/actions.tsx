import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { ApiError, post } from "../api/client";
import type { Reset, SetCurrent } from "../api/types";
import { t } from "../i18n";
import { parseDna } from "../lib/dna";
import { loss, percent } from "../lib/format";
import type { Row } from "../lib/versions";
import { overview, said, token } from "../state";
import { breakable, Notice } from "./basics";
import { Dialog } from "./dialog";
import { TokenForm } from "./token";

export type Wish = { kind: "promote" | "rollback"; row: Row } | { kind: "reset" };

const RESET = "RESET";

/** One question before anything changes, a token where one is needed, and the operator's own word afterwards. */
export function ActionDialog(props: { wish: Wish; count: number; onClose: () => void; onDone: () => void }) {
  const { wish } = props;
  const model = overview.value;
  const [busy, setBusy] = useState(false);
  const [refusal, setRefusal] = useState<string | null>(null);
  const [typed, setTyped] = useState("");
  const open = model?.auth === "Legacy";
  const mayGoOn = open || token.value !== null;
  const confirmed = wish.kind !== "reset" || typed === RESET;

  const go = async () => {
    setBusy(true);
    setRefusal(null);
    try {
      const answer =
        wish.kind === "reset"
          ? await post<Reset>("/api/models/reset", { confirm: RESET }, token.value)
          : await post<SetCurrent>("/api/models/set-current", { modelId: wish.row.dna }, token.value);
      said.value = { kind: "good", text: answer.message };
      props.onDone();
      props.onClose();
    } catch (error) {
      if (error instanceof ApiError && error.status === 401) token.value = null;
      setRefusal((error as Error).message);
    } finally {
      setBusy(false);
    }
  };

  return (
    <Dialog title={titleOf(wish)} onClose={props.onClose}>
      {refusal && <Notice tone="bad">{refusal}</Notice>}
      {open && <Notice tone="warn">{t("legacyAuth")}</Notice>}
      {mayGoOn ? (
        <form
          onSubmit={(event) => {
            event.preventDefault();
            if (confirmed && !busy) void go();
          }}
        >
          {wish.kind === "reset" ? (
            <>
              <p>{t("resetText", { count: props.count, model: model?.name ?? "" })}</p>
              <label for="confirm-reset">{t("typeReset")}</label>
              <input
                id="confirm-reset"
                autocomplete="off"
                spellcheck={false}
                value={typed}
                onInput={(event) => setTyped(event.currentTarget.value)}
              />
            </>
          ) : (
            <>
              <p>{t(wish.kind === "rollback" ? "rollBackText" : "promoteText")}</p>
              <Comparison row={wish.row} />
            </>
          )}
          <div class="buttons">
            <button type="button" onClick={props.onClose}>
              {t("cancel")}
            </button>
            <button
              type="submit"
              class={wish.kind === "reset" ? "danger" : "primary"}
              disabled={busy || !confirmed}
            >
              {busy ? t("working") : confirmOf(wish)}
            </button>
          </div>
        </form>
      ) : (
        <>
          <p>
            <strong>{t("tokenFirst")}</strong>
          </p>
          <TokenForm onDone={() => setRefusal(null)} onCancel={props.onClose} />
        </>
      )}
    </Dialog>
  );
}

function titleOf(wish: Wish): string {
  if (wish.kind === "reset") return t("resetTitle");
  const { version } = parseDna(wish.row.dna);
  return t(wish.kind === "rollback" ? "rollBackTitle" : "promoteTitle", { version });
}

function confirmOf(wish: Wish): ComponentChildren {
  return t(
    { promote: "confirmPromote", rollback: "confirmRollBack", reset: "confirmReset" }[
      wish.kind
    ] as "confirmPromote",
  );
}

function Comparison({ row }: { row: Row }) {
  const model = overview.value;
  const now = model?.versions.find((version) => version.dna === model.current?.dna);
  return (
    <table class="plain">
      <thead>
        <tr>
          <td />
          <th scope="col">{t("answersNow")}</th>
          <th scope="col">{t("takesOver")}</th>
        </tr>
      </thead>
      <tbody>
        <tr>
          <th scope="row">{t("version")}</th>
          <td>
            <code translate={false}>{breakable(now ? now.dna : (model?.baseModel ?? t("unknown")))}</code>
          </td>
          <td>
            <code translate={false}>{breakable(row.dna)}</code>
          </td>
        </tr>
        <tr>
          <th scope="row">{t("exact")}</th>
          <td>{percent(now?.scores?.exact)}</td>
          <td>{percent(row.scores?.exact)}</td>
        </tr>
        <tr>
          <th scope="row">{t("facts")}</th>
          <td>{percent(now?.scores?.factsContained)}</td>
          <td>{percent(row.scores?.factsContained)}</td>
        </tr>
        <tr>
          <th scope="row">{t("loss")}</th>
          <td>{loss(now?.scores?.loss)}</td>
          <td>{loss(row.scores?.loss)}</td>
        </tr>
      </tbody>
    </table>
  );
}
