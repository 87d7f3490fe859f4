import { useState } from "preact/hooks";
import { t } from "../i18n";
import { moment } from "../lib/format";
import { readToken } from "../lib/token";
import { overview, token } from "../state";
import { Copy, Notice } from "./basics";
import { Dialog } from "./dialog";

function Command({ text }: { text: string }) {
  return (
    <div class="command">
      <pre>
        <code translate={false}>{text}</code>
      </pre>
      <Copy text={text} />
    </div>
  );
}

export function commands(name: string, namespace: string): { make: string; account: string } {
  return {
    make: `kubectl create token ACCOUNT -n ${namespace} --audience oneseek --duration 1h`,
    account: [
      `kubectl create serviceaccount ACCOUNT -n ${namespace}`,
      `kubectl create role ${name}-promoter -n ${namespace} --verb=patch \\`,
      `  --resource=oneseekmodels.oneseek.io --resource-name=${name}`,
      `kubectl create rolebinding ACCOUNT-${name} -n ${namespace} \\`,
      `  --role=${name}-promoter --serviceaccount=${namespace}:ACCOUNT`,
    ].join("\n"),
  };
}

/** Where a person gives the page a token. `onDone` is called once there is one. */
export function TokenForm({ onDone, onCancel }: { onDone: () => void; onCancel: () => void }) {
  const [text, setText] = useState("");
  const claims = readToken(text);
  const model = overview.value;
  const how = commands(model?.name ?? "MODEL", model?.namespace ?? "NAMESPACE");
  const expired = claims?.expires && claims.expires.getTime() < Date.now();
  const elsewhere = claims && !claims.audiences.includes("oneseek");
  return (
    <form
      class="token"
      onSubmit={(event) => {
        event.preventDefault();
        if (!text.trim()) return;
        token.value = text.trim();
        onDone();
      }}
    >
      <p>{t("tokenWhy")}</p>
      <h3>{t("tokenHow")}</h3>
      <Command text={how.make} />
      <p class="note">{t("tokenHowNote")}</p>
      <details>
        <summary>{t("tokenAccount")}</summary>
        <Command text={how.account} />
      </details>
      <label for="token">{t("tokenField")}</label>
      <input
        id="token"
        type="password"
        autocomplete="off"
        spellcheck={false}
        value={text}
        aria-describedby="token-note"
        onInput={(event) => setText(event.currentTarget.value)}
      />
      <p id="token-note" class="note">
        {t("tokenMemory")}
      </p>
      {claims && !expired && (
        <p class="note">
          {t("tokenOf", { subject: claims.subject })}
          {claims.expires && `, ${t("tokenExpires", { when: moment(claims.expires) })}`}
        </p>
      )}
      {expired && <Notice tone="warn">{t("tokenExpired")}</Notice>}
      {elsewhere && (
        <Notice tone="warn">
          {t("tokenAudience", { audience: claims.audiences.join(", ") || t("none") })}
        </Notice>
      )}
      <div class="buttons">
        <button type="button" onClick={onCancel}>
          {t("cancel")}
        </button>
        <button type="submit" class="primary" disabled={!text.trim()}>
          {t("tokenUse")}
        </button>
      </div>
    </form>
  );
}

export function TokenButton() {
  const [open, setOpen] = useState(false);
  const model = overview.value;
  if (model?.auth === "Legacy") return null;
  const claims = token.value ? readToken(token.value) : null;
  return (
    <>
      <button type="button" class="quiet" onClick={() => setOpen(true)}>
        <span class={`dot ${token.value ? "good" : "plain"}`} aria-hidden="true" />
        {token.value ? t("tokenSet") : t("tokenNone")}
      </button>
      {open && (
        <Dialog title={t("token")} onClose={() => setOpen(false)}>
          {token.value ? (
            <>
              <p>{t("tokenOf", { subject: claims?.subject || t("unknown") })}</p>
              {claims?.expires && <p class="note">{t("tokenExpires", { when: moment(claims.expires) })}</p>}
              <p class="note">{t("tokenMemory")}</p>
              <div class="buttons">
                <button type="button" onClick={() => setOpen(false)}>
                  {t("close")}
                </button>
                <button
                  type="button"
                  class="danger"
                  onClick={() => {
                    token.value = null;
                    setOpen(false);
                  }}
                >
                  {t("tokenForget")}
                </button>
              </div>
            </>
          ) : (
            <TokenForm onDone={() => setOpen(false)} onCancel={() => setOpen(false)} />
          )}
        </Dialog>
      )}
    </>
  );
}
