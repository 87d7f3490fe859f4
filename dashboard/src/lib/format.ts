import { language, t } from "../i18n";

/** Numbers and times in the chosen language. null and undefined mean: not measured. */
const locale = () => (language.value === "sv" ? "sv-SE" : "en-GB");

export type Measured = number | null | undefined;

export function number(value: Measured, digits = 0): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return t("notMeasured");
  return new Intl.NumberFormat(locale(), {
    minimumFractionDigits: digits,
    maximumFractionDigits: digits,
  }).format(value);
}

export function percent(value: Measured, digits = 0): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return t("notMeasured");
  return new Intl.NumberFormat(locale(), {
    style: "percent",
    minimumFractionDigits: digits,
    maximumFractionDigits: digits,
  }).format(value);
}

/** A loss spans four orders of magnitude, so it gets digits by its size. */
export function loss(value: Measured): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return t("notMeasured");
  return new Intl.NumberFormat(locale(), { maximumSignificantDigits: 4 }).format(value);
}

export function moment(value: string | Date | null | undefined): string {
  const when = toDate(value);
  if (!when) return t("unknown");
  return new Intl.DateTimeFormat(locale(), { dateStyle: "medium", timeStyle: "short" }).format(when);
}

const STEPS: [Intl.RelativeTimeFormatUnit, number][] = [
  ["day", 86_400],
  ["hour", 3_600],
  ["minute", 60],
];

export function ago(value: string | Date | null | undefined, now: Date = new Date()): string {
  const when = toDate(value);
  if (!when) return t("unknown");
  const seconds = Math.round((when.getTime() - now.getTime()) / 1000);
  const format = new Intl.RelativeTimeFormat(locale(), { numeric: "auto" });
  for (const [unit, size] of STEPS) {
    if (Math.abs(seconds) >= size) return format.format(Math.trunc(seconds / size), unit);
  }
  return format.format(seconds, "second");
}

export function duration(seconds: Measured): string {
  if (seconds === null || seconds === undefined || !Number.isFinite(seconds)) return t("notMeasured");
  const whole = Math.max(0, Math.round(seconds));
  const parts: string[] = [];
  const hours = Math.floor(whole / 3600);
  const minutes = Math.floor((whole % 3600) / 60);
  if (hours) parts.push(`${hours} h`);
  if (minutes) parts.push(`${minutes} min`);
  if (!hours && (whole % 60 || !minutes)) parts.push(`${whole % 60} s`);
  return parts.join(" ");
}

function toDate(value: string | Date | null | undefined): Date | null {
  if (!value) return null;
  const when = value instanceof Date ? value : new Date(value);
  return Number.isNaN(when.getTime()) ? null : when;
}
