"""Seeds: requests that are as they should be, to all paths that read one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from schemas import SCHEMAS

TOOL: dict[str, Any] = {
    "type": "function",
    "function": {"name": "get_time", "parameters": {"type": "object", "properties": {"a": {}}}},
}
USER = {"role": "user", "content": "What is the capital of France?"}
CALLED = {
    "role": "assistant",
    "content": None,
    "tool_calls": [{"id": "1", "function": {"name": "get_time", "arguments": '{"a": 1}'}}],
}
RESULT = {"role": "tool", "tool_call_id": "1", "content": [{"type": "text", "text": "12"}]}
SAMPLING = {"temperature": 0.5, "top_k": 4, "seed": 1, "logit_bias": {"5": -1.5}, "stop": ["x"]}
REQUESTS: Sequence[tuple[str, Any]] = (
    ("/v1/chat/completions", {"messages": [USER], **SAMPLING, "logprobs": True, "n": 2}),
    ("/v1/chat/completions", {"messages": [USER, CALLED, RESULT], "tools": [TOOL]}),
    ("/v1/chat/completions", {"messages": [USER], "stream": True, "tools": [TOOL],
                              "tool_choice": "required",
                              "stream_options": {"include_usage": True}}),
    ("/v1/chat/completions", {"messages": [USER], "chat_template_kwargs": {"a": [1]},
                              "response_format": {"type": "json_schema", "json_schema": {
                                  "schema": SCHEMAS["pydantic lengths"]}}}),
    ("/v1/completions", {"prompt": ["Hi", "Ho"], "echo": True, "logprobs": 2, **SAMPLING}),
    ("/v1/completions", {"prompt": [1, 2, 3], "stream": True, "grammar": 'root ::= "a" | "b"+'}),
    ("/completion", {"prompt": "Hi", "n_probs": 3, "n_predict": 4, "json_schema": {}}),
    ("/completion", {"prompt": [[1, 2], [3]], "stream": True, "return_progress": True}),
    ("/v1/embeddings", {"input": ["Hi", "Ho"], "encoding_format": "base64"}),
    ("/tokenize", {"content": "Hi <s>", "add_special": True, "with_pieces": True}),
    ("/detokenize", {"tokens": [1, 2, 3]}),
    ("/apply-template", {"messages": [{"role": "system", "content": "Be kind"}, USER]}),
    ("/v1/search", {"query": "rain kind:diary after:2024-05", "limit": 3}),
    ("/api/completion", {"prompt": "Hi", "tokens": 4, "top_k": 4, "temp": 0.5}),
    ("/completion", {"prompt": "Hi", "samplers": ["top_k", "temp"], "id_slot": 1, "n_probs": 2,
                     "post_sampling_probs": True, "response_fields": ["timings/prompt_ms"],
                     "t_max_predict_ms": 5, "top_n_sigma": 1.0, "n_keep": 2}),
    ("/completion", {"prompt": "Hi", "lora": [{"id": 0, "scale": 0.5}]}),
    ("/infill", {"input_prefix": "a", "input_suffix": "b", "prompt": "c",
                 "input_extra": [{"text": "d", "filename": "e"}]}),
    ("/v1/rerank", {"query": "a", "documents": ["b", {"text": "c"}], "top_n": 1}),
    ("/lora-adapters", [{"id": 0, "scale": 0.5}]),
    ("/slots/0?action=erase", {"filename": "a"}),
    ("/api/chat", {"model": "x", "messages": [USER], "format": {"type": "object"}, "think": "low",
                   "options": {"num_predict": 4, "top_k": 3.0}, "keep_alive": "5m"}),
    ("/api/chat", {"stream": False, "tools": [TOOL], "messages": [
        USER, {"role": "assistant", "tool_calls": [
            {"function": {"name": "get_time", "arguments": {"a": 1}}}]},
        {"role": "tool", "tool_name": "get_time", "content": "12"}]}),
    ("/api/generate", {"prompt": "Hi", "context": [1, 2], "system": "Be kind", "logprobs": True}),
    ("/api/generate", {"prompt": "Hi", "suffix": "b", "raw": True, "stream": False}),
    ("/api/embed", {"input": ["Hi", "Ho"], "dimensions": 8, "truncate": False}),
    ("/api/show", {"model": "demo"}),
    ("/v1/responses", {"input": "Hi", "instructions": "Be kind", "stream": True, "store": True,
                       "reasoning": {"effort": "low", "summary": "auto"},
                       "include": ["message.output_text.logprobs"], "top_logprobs": 2}),
    ("/v1/responses", {"previous_response_id": "resp_1", "max_output_tokens": 4, "input": [
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hi"}]},
        {"type": "reasoning", "summary": [], "encrypted_content": "a"},
        {"type": "function_call", "call_id": "1", "name": "get_time", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "1", "output": "12"}],
        "tools": [{"type": "function", "name": "get_time", "parameters": {"type": "object"}},
                  {"type": "custom", "name": "run"}],
        "text": {"format": {"type": "json_schema", "name": "a", "schema": {"type": "object"}}}}),
    ("/v1/messages", {"max_tokens": 4, "system": [{"type": "text", "text": "Be kind"}],
                      "messages": [USER], "stream": True, "stop_sequences": ["x"],
                      "thinking": {"type": "enabled", "budget_tokens": 2}}),
    ("/v1/messages", {"max_tokens": 4, "tool_choice": {"type": "any"}, "messages": [
        USER, {"role": "assistant", "content": [
            {"type": "thinking", "thinking": "Hm.", "signature": "a"},
            {"type": "tool_use", "id": "1", "name": "get_time", "input": {"a": 1}}]},
        {"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": "1", "content": "12"}]}],
        "tools": [{"name": "get_time", "input_schema": {"type": "object"}}]}),
    ("/v1/messages/count_tokens", {"messages": [USER]}),
)  # fmt: skip
