import { useEffect, useRef, useState } from "preact/hooks";

export interface Loaded<T> {
  data: T | undefined;
  error: Error | undefined;
  reload: () => void;
}

/** Loads now, again every so many seconds while the page is seen, and when told to. What was seen last stays. */
export function useLoaded<T>(
  load: (signal: AbortSignal) => Promise<T>,
  seconds: number | null,
  key = "",
): Loaded<T> {
  const [state, setState] = useState<{ data?: T; error?: Error }>({});
  const [turn, setTurn] = useState(0);
  const latest = useRef(load);
  latest.current = load;

  useEffect(() => {
    const controller = new AbortController();
    let timer: number | undefined;
    const look = async () => {
      if (!document.hidden) {
        try {
          const data = await latest.current(controller.signal);
          if (controller.signal.aborted) return;
          setState({ data });
        } catch (error) {
          if (controller.signal.aborted) return;
          setState((old) => ({ ...old, error: error as Error }));
        }
      }
      if (seconds !== null) timer = window.setTimeout(look, seconds * 1000);
    };
    void look();
    return () => {
      controller.abort();
      window.clearTimeout(timer);
    };
  }, [turn, key, seconds]);

  return { data: state.data, error: state.error, reload: () => setTurn((old) => old + 1) };
}
