"""The loaded model, used by many clients at once, in no protocol's terms.

Gives `service.Service`, which takes an `AnswerRequest` and returns a reader of its answers.
May import server.http, for the errors sent to clients, dialogue and what stands above it.
"""
