/** The service's own API. Every failure is a sentence that a person can act on. */

export class ApiError extends Error {
  constructor(
    readonly status: number,
    sentence: string,
  ) {
    super(sentence);
  }
}

export async function get<T>(path: string, signal?: AbortSignal): Promise<T> {
  return call<T>(path, signal ? { signal } : {});
}

export async function post<T>(path: string, body: unknown, token?: string | null): Promise<T> {
  const headers: Record<string, string> = { "Content-Type": "application/json" };
  if (token) headers.Authorization = `Bearer ${token}`;
  return call<T>(path, { method: "POST", headers, body: JSON.stringify(body) });
}

async function call<T>(path: string, options: RequestInit): Promise<T> {
  const answer = await fetch(path, { ...options, cache: "no-store", credentials: "omit" });
  const text = await answer.text();
  const body = parsed(text);
  if (!answer.ok) throw new ApiError(answer.status, sentenceOf(answer.status, body));
  return body as T;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function sentenceOf(status: number, body: unknown): string {
  const said = (body ?? {}) as Record<string, unknown>;
  const more = said.message ?? said.details ?? said.note;
  const parts = [said.error, more].filter((part): part is string => typeof part === "string" && part !== "");
  return parts.length ? parts.join(": ") : `HTTP ${status}`;
}
