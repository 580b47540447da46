"""Answers of the loaded model to many clients at once, whatever protocol each of them speaks.

Gives `service.Service`, which takes an `AnswerRequest` and returns a reader of its answers.
May import server.http, for the errors that clients are told, dialogue and what stands above it.
"""
