/** What a Kubernetes token says of itself. The service decides what it is worth; this is only to show it. */
export interface TokenClaims {
  subject: string;
  expires: Date | null;
  audiences: string[];
}

export function readToken(token: string): TokenClaims | null {
  const [, body] = token.trim().split(".");
  if (!body) return null;
  try {
    const bytes = Uint8Array.from(atob(body.replace(/-/g, "+").replace(/_/g, "/")), (c) => c.charCodeAt(0));
    const claims = JSON.parse(new TextDecoder().decode(bytes)) as Record<string, unknown>;
    const { sub, exp, aud } = claims;
    return {
      subject: typeof sub === "string" ? sub : "",
      expires: typeof exp === "number" ? new Date(exp * 1000) : null,
      audiences: (Array.isArray(aud) ? aud : [aud]).filter((one): one is string => typeof one === "string"),
    };
  } catch {
    return null;
  }
}
