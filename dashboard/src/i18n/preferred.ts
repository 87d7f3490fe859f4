export type Language = "en" | "sv";

/** The one that was chosen here before, else the browser's first one that we speak. */
export function preferred(chosen: string | null, browser: readonly string[]): Language {
  if (chosen === "en" || chosen === "sv") return chosen;
  const first = browser
    .map((tag) => tag.toLowerCase().slice(0, 2))
    .find((tag) => tag === "en" || tag === "sv");
  return first === "sv" ? "sv" : "en";
}
