"""Is what lies there what was certified? For the init container, the watching sidecar and the plugin. No torch."""
