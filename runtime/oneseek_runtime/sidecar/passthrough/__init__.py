"""The OpenAI API, passed through to the engine: its bytes in, its bytes out, nothing in between kept or copied."""
