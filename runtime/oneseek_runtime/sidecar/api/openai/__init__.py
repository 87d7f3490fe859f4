"""`/v1/*`: the OpenAI API, passed through to the engine as bytes."""
