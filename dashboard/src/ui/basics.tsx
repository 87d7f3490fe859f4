import type { ComponentChildren } from "preact";
import { useEffect, useState } from "preact/hooks";
import { t } from "../i18n";
import { parseDna } from "../lib/dna";
import { ago, moment } from "../lib/format";

export type Tone = "good" | "bad" | "warn" | "info" | "plain";

export function Badge({ tone = "plain", children }: { tone?: Tone; children: ComponentChildren }) {
  return <span class={`badge ${tone}`}>{children}</span>;
}

export function Card(props: {
  title: string;
  note?: string;
  aside?: ComponentChildren;
  class?: string;
  children: ComponentChildren;
}) {
  const id = `card-${props.title.replace(/\W+/g, "-").toLowerCase()}`;
  return (
    <section class={`card ${props.class ?? ""}`} aria-labelledby={id}>
      <header>
        <h2 id={id}>{props.title}</h2>
        {props.aside}
      </header>
      {props.note && <p class="note">{props.note}</p>}
      {props.children}
    </section>
  );
}

/** A version's name: what people call it first, then all of it. */
export function DnaName(props: { dna: string; large?: boolean; children?: ComponentChildren }) {
  const parts = parseDna(props.dna);
  return (
    <span class={props.large ? "dna large" : "dna"}>
      <strong>{parts.version}</strong>
      {props.children}
      {parts.text !== parts.version && <code translate={false}>{breakable(parts.text)}</code>}
    </span>
  );
}

/** The same text, which a narrow place breaks after its dots. */
export function breakable(text: string): ComponentChildren {
  return text.split(/(?<=\.)/).map((part) => (
    <>
      {part}
      <wbr />
    </>
  ));
}

export function Short({ dna }: { dna: string }) {
  const parts = parseDna(dna);
  const hash = parts.hashes[0];
  return (
    <span title={dna}>
      {parts.version}
      {hash && <code class="faint"> {hash}</code>}
    </span>
  );
}

export function When({ at }: { at: string | null | undefined }) {
  if (!at) return <span class="faint">{t("unknown")}</span>;
  return (
    <time dateTime={at} title={moment(at)}>
      {ago(at)}
    </time>
  );
}

export function Fact(props: { name: string; wide?: boolean; children: ComponentChildren }) {
  return (
    <div class={props.wide ? "two" : undefined}>
      <dt>{props.name}</dt>
      <dd>{props.children}</dd>
    </div>
  );
}

/** A measured value; what was not measured is said so, faintly, and never a number. */
export function Value({ text }: { text: string }) {
  return <span class={text === t("notMeasured") ? "faint" : "number"}>{text}</span>;
}

export function Copy({ text }: { text: string }) {
  const [done, setDone] = useState(false);
  useEffect(() => {
    if (!done) return;
    const timer = window.setTimeout(() => setDone(false), 2000);
    return () => window.clearTimeout(timer);
  }, [done]);
  if (!navigator.clipboard) return null; // only secure origins have one
  return (
    <button
      type="button"
      class="quiet small"
      onClick={() =>
        navigator.clipboard.writeText(text).then(
          () => setDone(true),
          () => setDone(false),
        )
      }
    >
      <span aria-live="polite">{done ? t("copied") : t("copy")}</span>
    </button>
  );
}

export function Notice({ tone, children }: { tone: Tone; children: ComponentChildren }) {
  return (
    <div class={`notice ${tone}`} role={tone === "bad" ? "alert" : "status"}>
      {children}
    </div>
  );
}

/** Wide tables scroll within themselves; whoever has no mouse scrolls them with the arrow keys. */
export function Scroll(props: { class: string; name: string; children: ComponentChildren }) {
  return (
    <section class={props.class} tabIndex={0} aria-label={props.name}>
      {props.children}
    </section>
  );
}
