import { effect, signal } from "@preact/signals";
import type { Overview, ServiceStatus } from "./api/types";

/** What several views share. The token lives here and nowhere else: it is gone when the page is closed. */
export const token = signal<string | null>(null);
export const overview = signal<Overview | null>(null);
export const status = signal<ServiceStatus | null>(null);
export const trouble = signal<string | null>(null);
export const said = signal<{ kind: "good" | "bad"; text: string } | null>(null);

export type Theme = "auto" | "light" | "dark";
const THEME = "oneseek.theme";

function remembered(): Theme {
  const kept = localStorage.getItem(THEME);
  return kept === "light" || kept === "dark" ? kept : "auto";
}

export const theme = signal<Theme>(remembered());

const prefersDark = window.matchMedia("(prefers-color-scheme: dark)");
export const dark = signal(prefersDark.matches);

effect(() => {
  localStorage.setItem(THEME, theme.value);
  const root = document.documentElement;
  if (theme.value === "auto") delete root.dataset.theme;
  else root.dataset.theme = theme.value;
  dark.value = theme.value === "dark" || (theme.value === "auto" && prefersDark.matches);
});
prefersDark.addEventListener("change", (event) => {
  if (theme.value === "auto") dark.value = event.matches;
});
