/** A version's name in parts, for showing it. Whatever cannot be read is shown as it is. */
export interface Dna {
  text: string;
  version: string;
  language: string;
  sets: string[];
  hashes: string[];
}

const FORM = /\.(v\d+(?:\.\d+)?)(?:\.(sv|en|ensv|no|da|fi))?(?:\.ds(.+?))?((?:\.[0-9a-z]{6,8}){0,3})$/;

export function parseDna(text: string): Dna {
  const found = FORM.exec(text);
  if (!found) return { text, version: text, language: "", sets: [], hashes: [] };
  const [, version = text, language = "", sets = "", hashes = ""] = found;
  return {
    text,
    version,
    language,
    sets: sets ? sets.split(/[-+]/) : [],
    hashes: hashes.split(".").filter(Boolean),
  };
}
