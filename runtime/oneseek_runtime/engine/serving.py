"""[I/O] What follows the checks: load the model, warm it up, serve it. Everything that needs torch hangs below here."""

from __future__ import annotations

import gc
import time
from pathlib import Path

import uvicorn

from oneseek_runtime.engine.app import create_app
from oneseek_runtime.engine.model import LoadedModel, load
from oneseek_runtime.engine.settings import EngineSettings
from oneseek_runtime.engine.slots import Slots
from oneseek_runtime.engine.worker import Worker
from oneseek_runtime.http_server import server_config
from oneseek_runtime.log import say
from oneseek_runtime.train.model import cpu_limit

__all__ = ["serve"]

_KEEP_ALIVE_SECONDS = 3600  # longer than any client of ours keeps an idle connection: it closes first, without a race


def serve(settings: EngineSettings, base: Path, adapter: Path | None) -> None:
    """Load, warm up, open the port, serve until SIGTERM.

    Raises:
        EngineStartError: the files cannot be loaded.
    """
    model = _ready_model(settings, base, adapter)
    gc.enable()
    gc.freeze()  # what is loaded stays; the collector need not look at it again
    worker = Worker(model, limit=settings.queue_limit)
    worker.start()
    app = create_app(model, worker, _slots(settings, model))
    config = server_config(app, settings.host, settings.port, loop="uvloop", timeout_keep_alive=_KEEP_ALIVE_SECONDS)
    uvicorn.Server(config).run()


def _slots(settings: EngineSettings, model: LoadedModel) -> Slots | None:
    verified = settings.serving.verified_path
    return Slots(model, settings.serving, Path(verified)) if verified else None


def _ready_model(settings: EngineSettings, base: Path, adapter: Path | None) -> LoadedModel:
    serving, threads = settings.serving, cpu_limit()
    start = time.monotonic()
    model = load(
        base=base,
        base_name=serving.base_name,
        precision=settings.precision,
        threads=threads,
        base_digest=serving.base_digest,
    )
    if adapter is not None and serving.dna is not None:
        model.add(serving.dna, adapter)
    loaded = time.monotonic()
    target = serving.dna or serving.base_name
    model.warm_up(target)
    say(
        "serving",
        model=target,
        precision=model.precision,
        threads=threads,
        loadSeconds=round(loaded - start, 3),
        warmUpSeconds=round(time.monotonic() - loaded, 3),
        cpuSeconds=round(time.process_time(), 3),
    )
    return model
