import { useEffect, useState } from "preact/hooks";
import { get } from "./api/client";
import type { Overview as Model, ServiceStatus } from "./api/types";
import { choose, type Key, type Language, language, t } from "./i18n";
import { useLoaded } from "./lib/hooks";
import { overview, said, status, type Theme, theme } from "./state";
import { Badge, Notice } from "./ui/basics";
import { TokenButton } from "./ui/token";
import { Ask } from "./views/ask";
import { Ledger } from "./views/ledger";
import { Overview } from "./views/overview";
import { Training } from "./views/training";
import { Versions } from "./views/versions";

const VIEWS = ["overview", "versions", "training", "ask", "ledger"] as const;
type View = (typeof VIEWS)[number];

interface Place {
  view: View;
  rest: string | null;
}

function placeOf(hash: string): Place {
  const [, name = "", rest] = hash.split("/");
  const view = VIEWS.find((one) => one === name) ?? "overview";
  return { view, rest: rest ? decodeURIComponent(rest) : null };
}

function usePlace(): Place {
  const [place, setPlace] = useState(() => placeOf(location.hash));
  useEffect(() => {
    const look = () => setPlace(placeOf(location.hash));
    window.addEventListener("hashchange", look);
    return () => window.removeEventListener("hashchange", look);
  }, []);
  return place;
}

export function App() {
  const place = usePlace();
  const model = useLoaded((signal) => get<Model>("/api/models/overview", signal), pace());
  const service = useLoaded(
    (signal) => get<ServiceStatus>("/api/oqt/status", signal),
    15,
    model.data?.current?.dna,
  );

  useEffect(() => {
    if (model.data) overview.value = model.data;
  }, [model.data]);
  useEffect(() => {
    if (service.data) status.value = service.data;
  }, [service.data]);
  useEffect(() => {
    document.title = `${t(place.view)} · ${model.data?.name ?? "OneSeek"}`;
  }, [place.view, model.data?.name, language.value]);

  const lost = model.error ?? service.error;
  return (
    <>
      {/* biome-ignore lint/a11y/useValidAnchor: it goes to a place in the page; the address is the view's */}
      <a class="skip" href="#content" onClick={toContent}>
        {t("skip")}
      </a>
      <Top view={place.view} />
      <main id="content" tabIndex={-1}>
        <h1 class="hidden">{t(place.view)}</h1>
        {lost && <Notice tone="bad">{t("lostContact", { why: lost.message })}</Notice>}
        <Said />
        {place.view === "overview" && <Overview />}
        {place.view === "versions" && (
          <Versions
            onChanged={() => {
              model.reload();
              service.reload();
            }}
          />
        )}
        {place.view === "training" && <Training chosen={place.rest} />}
        {place.view === "ask" && <Ask />}
        {place.view === "ledger" && <Ledger />}
      </main>
    </>
  );
}

/** Seconds between two looks: closer while the operator is at something. */
function pace(): number {
  const model = overview.value;
  return model?.request?.outcome === "Pending" || model?.candidate ? 2 : 5;
}

function toContent(event: Event) {
  event.preventDefault(); // the address names the view
  document.getElementById("content")?.focus();
}

function Said() {
  const last = said.value;
  return (
    <div aria-live="polite">
      {last && (
        <div class={`notice ${last.kind}`}>
          <span>{last.text}</span>
          <button
            type="button"
            class="quiet small"
            onClick={() => {
              said.value = null;
            }}
          >
            {t("dismiss")}
          </button>
        </div>
      )}
    </div>
  );
}

function Top({ view }: { view: View }) {
  const model = overview.value;
  const service = status.value;
  return (
    <header class="top">
      <div class="inner">
        <p class="brand">
          <svg viewBox="0 0 32 32" aria-hidden="true">
            <title>OneSeek</title>
            <rect width="32" height="32" rx="7" />
            <circle cx="14" cy="14" r="6.5" />
            <path d="M19 19l6 6" />
          </svg>
          <strong>OneSeek</strong>
          {model && (
            <span class="model">
              {model.namespace}/<b>{model.name}</b>
            </span>
          )}
          {service ? (
            <Badge tone={service.health.operational ? "good" : "bad"}>
              {service.health.operational ? t("answers") : t("doesNotAnswer")}
            </Badge>
          ) : (
            <Badge>{t("connecting")}</Badge>
          )}
        </p>
        <div class="settings">
          <TokenButton />
          <label>
            <span class="hidden">{t("language")}</span>
            <select
              value={language.value}
              onChange={(event) => choose(event.currentTarget.value as Language)}
            >
              <option value="en" lang="en">
                English
              </option>
              <option value="sv" lang="sv">
                Svenska
              </option>
            </select>
          </label>
          <label>
            <span class="hidden">{t("theme")}</span>
            <select
              value={theme.value}
              onChange={(event) => {
                theme.value = event.currentTarget.value as Theme;
              }}
            >
              <option value="auto">{t("themeAuto")}</option>
              <option value="light">{t("themeLight")}</option>
              <option value="dark">{t("themeDark")}</option>
            </select>
          </label>
        </div>
        <nav aria-label={t("navigation")}>
          {VIEWS.map((name) => (
            <a key={name} href={`#/${name}`} aria-current={name === view ? "page" : undefined}>
              {t(name as Key)}
            </a>
          ))}
        </nav>
      </div>
    </header>
  );
}
