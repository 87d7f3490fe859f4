import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { language, t } from "../i18n";
import { loss } from "../lib/format";
import { dark } from "../state";

export interface Point {
  step: number;
  loss: number;
}

const HEIGHT = 280;

function colour(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

function options(width: number): uPlot.Options {
  const axis = {
    stroke: colour("--muted"),
    grid: { stroke: colour("--line"), width: 1 },
    ticks: { stroke: colour("--line"), width: 1 },
    font: "12px system-ui, sans-serif",
  };
  return {
    width,
    height: HEIGHT,
    scales: { x: { time: false } },
    axes: [
      { ...axis, label: t("step"), labelFont: axis.font, labelSize: 22 },
      {
        ...axis,
        label: t("loss"),
        labelFont: axis.font,
        labelSize: 22,
        size: 56,
        values: (_, all) => all.map(loss),
      },
    ],
    series: [
      { label: t("step") },
      {
        label: t("loss"),
        stroke: colour("--accent"),
        width: 2,
        fill: colour("--accent-wash"),
        points: { show: true, size: 5, fill: colour("--accent") },
        value: (_, value) => (value === null ? "–" : loss(value)),
      },
    ],
    cursor: { y: false },
    legend: { live: true },
  };
}

/** A loss curve. The picture has a sentence for those who do not see it; the numbers are in the table below it. */
export function LossChart({ run, points }: { run: string; points: Point[] }) {
  const place = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const shown = useRef<uPlot.AlignedData>([[], []]);
  shown.current = [points.map((point) => point.step), points.map((point) => point.loss)];

  useEffect(() => {
    const box = place.current;
    if (!box) return;
    const made = new uPlot(options(box.clientWidth || 600), shown.current, box);
    plot.current = made;
    const sizes = new ResizeObserver(() => made.setSize({ width: box.clientWidth, height: HEIGHT }));
    sizes.observe(box);
    return () => {
      sizes.disconnect();
      made.destroy();
      plot.current = null;
    };
  }, [run, dark.value, language.value]);

  useEffect(() => {
    plot.current?.setData(shown.current);
  }, [points]);

  return <div ref={place} class="chart" role="img" aria-label={spoken(run, points)} />;
}

function spoken(run: string, points: Point[]): string {
  const first = points[0];
  const last = points[points.length - 1];
  if (!first || !last) return t("noCurve");
  return t("lossCurveOf", {
    run,
    first: loss(first.loss),
    start: first.step,
    last: loss(last.loss),
    end: last.step,
    lowest: loss(Math.min(...points.map((point) => point.loss))),
  });
}
