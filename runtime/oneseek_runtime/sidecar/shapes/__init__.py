"""What bodies look like, as pydantic models: the source of the OpenAPI file, and what contract tests check answers with.

Answers themselves are built by `wire` and the like as plain data: a model per answer would cost more than the answer.
"""
