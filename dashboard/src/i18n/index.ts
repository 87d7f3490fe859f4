import { effect, signal } from "@preact/signals";
import { en, type Key } from "./en";
import { type Language, preferred } from "./preferred";
import { sv } from "./sv";

export type { Key, Language };

const CHOSEN = "oneseek.language";
const WORDS: Record<Language, Record<Key, string>> = { en, sv };

export const language = signal<Language>(preferred(localStorage.getItem(CHOSEN), navigator.languages));

export function choose(next: Language): void {
  localStorage.setItem(CHOSEN, next);
  language.value = next;
}

effect(() => {
  document.documentElement.lang = language.value;
});

/** A sentence in the chosen language; `{name}` is filled in. Operators' own sentences stay as they are: English. */
export function t(key: Key, values: Record<string, string | number> = {}): string {
  return WORDS[language.value][key].replace(/\{(\w+)\}/g, (whole, name: string) =>
    name in values ? String(values[name]) : whole,
  );
}
