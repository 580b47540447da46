"""The loaded model, asked by many clients at once, in no protocol's terms.

Gives `service.Service`, which takes an `AnswerRequest` and gives a reader of its answers.
May import server.http, for the errors that clients are told, dialogue and what stands above it.
"""
