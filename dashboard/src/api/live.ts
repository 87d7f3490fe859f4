/** `/ws/training`: tells when a run has news. A pod that goes away closes it; the page connects again. */

const FIRST_PAUSE = 1_000;
const LONGEST_PAUSE = 30_000;

export interface Watching {
  stop(): void;
}

export function watchRun(run: string, onNews: () => void, onLink: (open: boolean) => void): Watching {
  let socket: WebSocket | null = null;
  let timer: number | undefined;
  let pause = FIRST_PAUSE;
  let stopped = false;

  const connect = () => {
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    socket = new WebSocket(`${scheme}://${location.host}/ws/training?runId=${encodeURIComponent(run)}`);
    socket.onopen = () => {
      pause = FIRST_PAUSE;
      onLink(true);
    };
    socket.onmessage = (event) => {
      const { type } = JSON.parse(String(event.data)) as { type: string };
      if (type !== "heartbeat") onNews();
    };
    socket.onclose = () => {
      if (stopped) return;
      onLink(false);
      timer = window.setTimeout(connect, pause);
      pause = Math.min(pause * 2, LONGEST_PAUSE);
    };
  };
  connect();
  return {
    stop() {
      stopped = true;
      window.clearTimeout(timer);
      socket?.close();
    },
  };
}
