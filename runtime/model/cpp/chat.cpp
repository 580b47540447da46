// libchat: llama.cpp's chat library (common/chat.h) behind a C interface of UTF-8 JSON.
//
// Every function may be called from any thread; one answer by one thread at a time. No exception
// leaves this file. Every reply is a JSON object that the caller frees with libchat_free:
// {"error": "what went wrong"}, or what the function says. Handles are freed by libchat_*_free;
// what a libchat_*_call begins is waited for, see libchat_call_wait;
// a prompt does not need its template any more, nor an answer its prompt. What is not done within its
// budget, see budget.h, is an error.

#include "budget.h"
#include "chat.h"
#include "json-schema-to-grammar.h"
#include "json.h"
#include "log.h"
#include "notes.h"
#include "reasoning-budget.h"

#include <climits>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#define EXPORT extern "C" __attribute__((visibility("default")))

// Raised with every change of the interface; the caller compares it.
static const int VERSION = 5;

namespace {

struct Template {
    std::shared_ptr<const common_chat_templates> templates;
};

struct Prompt {
    std::shared_ptr<const common_chat_parser_params> parser;
};

struct Answer {
    std::shared_ptr<const common_chat_parser_params> parser;
    std::string text;
    common_chat_msg message;
    std::vector<std::string> ids;
};

char * reply(const common_json & value) {
    const std::string text = value.dump_safe();
    char * copy = static_cast<char *>(std::malloc(text.size() + 1));
    if (copy) {
        std::memcpy(copy, text.c_str(), text.size() + 1);
    }
    return copy;
}

char * failure(const char * what) {
    try {
        return reply(common_json::object({ { "error", std::string(what) } }));
    } catch (...) {
        return nullptr;
    }
}

constexpr double SECONDS = 5, ANALYSIS_SECONDS = 2;
constexpr size_t BYTES = 256 << 20;

// Run `action`, which returns a JSON reply; an exception becomes an error.
template <typename Action> char * guarded(Action && action, double seconds = SECONDS) {
    try {
        notes_clear();
        common_json found;
        {
            const Budget budget(seconds, BYTES);
            found = action();
        }
        return reply(found);
    } catch (const std::exception & exc) {
        return failure(exc.what());
    } catch (...) {
        return failure("unknown error");
    }
}

bool is_error(const char * answer) {
    return !answer || std::strncmp(answer, "{\"error\"", 8) == 0;
}

// A call in a thread of its own, which goes on while its caller looks after signals.
class Call {
  public:
    virtual ~Call() = default;
    virtual bool wait() = 0;
    // Return the handle of what the call has made, null with an error.
    virtual void * take(char ** answer) = 0;
};

template <typename Made> class CallFor final : public Call {
  public:
    // `action` makes something and returns a reply. It may outlive the call, and must own what it uses.
    template <typename Action>
    CallFor(Action action, double seconds) :
        found_(std::make_shared<Found>()), deep_(work(found_, std::move(action), seconds), seconds + 1) {}

    bool wait() override { return deep_.wait(); }

    void * take(char ** answer) override {
        if (!deep_.whole()) {
            *answer = failure("it takes too long");
            return nullptr;
        }
        *answer = std::exchange(found_->answer, nullptr);
        return is_error(*answer) ? nullptr : found_->made.release();
    }

  private:
    // Whoever of the two, the caller or the thread, is the last to need it frees it.
    struct Found {
        std::unique_ptr<Made> made;
        char * answer = nullptr;

        ~Found() { std::free(answer); }
    };

    template <typename Action>
    static std::function<void()> work(std::shared_ptr<Found> found, Action action, double seconds) {
        return [found = std::move(found), action = std::move(action), seconds] {
            found->answer = guarded([&] { return action(found->made); }, seconds);
        };
    }

    std::shared_ptr<Found> found_;
    DeepCall deep_;
};

template <typename Made, typename Action> Call * call(Action action, double seconds = SECONDS) {
    try {
        return new CallFor<Made>(std::move(action), seconds);
    } catch (...) {
        return nullptr;
    }
}

std::string new_id() {
    static const char letters[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    std::random_device source;
    std::uniform_int_distribution<size_t> any(0, sizeof letters - 2);
    std::string id(32, ' ');
    for (char & letter : id) {
        letter = letters[any(source)];
    }
    return id;
}

const char * trigger_name(common_grammar_trigger_type type) {
    switch (type) {
        case COMMON_GRAMMAR_TRIGGER_TYPE_TOKEN:        return "token";
        case COMMON_GRAMMAR_TRIGGER_TYPE_WORD:         return "word";
        case COMMON_GRAMMAR_TRIGGER_TYPE_PATTERN:      return "pattern";
        case COMMON_GRAMMAR_TRIGGER_TYPE_PATTERN_FULL: return "pattern_full";
    }
    return "";
}

common_chat_templates_inputs inputs_of(const common_json & request) {
    common_chat_templates_inputs inputs;
    inputs.messages = common_chat_msgs_parse_oaicompat(request.at("messages"));
    if (request.contains("tools")) {
        inputs.tools = common_chat_tools_parse_oaicompat(request.at("tools"));
    }
    inputs.tool_choice = common_chat_tool_choice_parse_oaicompat(request.value("tool_choice", "auto"));
    inputs.parallel_tool_calls = request.value("parallel_tool_calls", false);
    if (request.contains("json_schema")) {
        inputs.json_schema = request.at("json_schema").dump();
    }
    inputs.grammar = request.value("grammar", "");
    inputs.add_generation_prompt = request.value("add_generation_prompt", true);
    if (request.contains("continue_final_message")) {
        inputs.continue_final_message =
            common_chat_continuation_parse(request.at("continue_final_message"));
    }
    inputs.reasoning_format =
        common_reasoning_format_from_name(request.value("reasoning_format", "auto"));
    inputs.enable_thinking = request.value("enable_thinking", true);
    if (request.contains("variables")) {
        for (const auto & [name, value] : request.at("variables").items()) {
            inputs.chat_template_kwargs[name] = value.dump();
        }
    }
    return inputs;
}

// End the reasoning that the template has begun at the prompt's end.
void end_reasoning(common_chat_params & found) {
    const std::string & start = found.thinking_start_tag;
    const size_t last = found.prompt.find_last_not_of(" \n\t");
    if (start.empty() || found.thinking_end_tags.empty() || last == std::string::npos ||
        last + 1 < start.size() ||
        found.prompt.compare(last + 1 - start.size(), start.size(), start) != 0) {
        return;
    }
    // What follows is an empty line, unless a grammar has something else there.
    const std::string end = found.thinking_end_tags.front() + (found.grammar.empty() ? "\n\n" : "");
    found.prompt += end;
    found.generation_prompt += end;
}

common_json prompt_reply(const common_chat_params & found) {
    common_json triggers = common_json::array();
    for (const auto & trigger : found.grammar_triggers) {
        triggers.push_back({ { "type", trigger_name(trigger.type) }, { "value", trigger.value } });
    }
    return common_json::object({
        { "prompt",            found.prompt },
        { "generation_prompt", found.generation_prompt },
        { "format",            common_chat_format_name(found.format) },
        { "grammar",           found.grammar },
        { "grammar_lazy",      found.grammar_lazy },
        { "triggers",          triggers },
        { "preserved_tokens",  found.preserved_tokens },
        { "stops",             found.additional_stops },
        { "thinks",            found.supports_thinking },
        { "thinking_start",    found.thinking_start_tag },
        { "thinking_ends",     found.thinking_end_tags },
        { "incomplete",        notes_last() },
    });
}

// Give calls without an id one, the same every time.
void name_calls(Answer & answer, common_chat_msg & message) {
    message.set_tool_call_ids(answer.ids, new_id);
}

common_json call_json(const common_chat_tool_call & call) {
    return common_json::object({
        { "id",        call.id },
        { "name",      call.name },
        { "arguments", call.arguments },
    });
}

common_json message_json(const common_chat_msg & message) {
    common_json calls = common_json::array();
    for (const auto & call : message.tool_calls) {
        calls.push_back(call_json(call));
    }
    return common_json::object({
        { "reasoning", message.reasoning_content },
        { "content",   message.content },
        { "calls",     calls },
    });
}

common_json news_json(const std::vector<common_chat_msg_diff> & diffs) {
    common_json news = common_json::array();
    for (const auto & diff : diffs) {
        common_json one = common_json::object();
        if (!diff.reasoning_content_delta.empty()) {
            one["reasoning"] = diff.reasoning_content_delta;
        }
        if (!diff.content_delta.empty()) {
            one["content"] = diff.content_delta;
        }
        if (diff.tool_call_index != std::string::npos) {
            one["call"] = call_json(diff.tool_call_delta);
            one["index"] = diff.tool_call_index;
        }
        news.push_back(one);
    }
    return news;
}

}  // namespace

EXPORT int libchat_version() {
    return VERSION;
}

EXPORT void libchat_free(char * reply) {
    std::free(reply);
}

// Wait for a call's end, a little while or until a signal comes at most; return whether it has come.
// Between two waits the caller can handle signals: no signal is missed, wherever it was delivered.
EXPORT int libchat_call_wait(void * call) {
    return static_cast<Call *>(call)->wait();
}

// Return the handle of what a call has made, null with an error, and its reply.
EXPORT void * libchat_call_take(void * call, char ** answer) {
    return static_cast<Call *>(call)->take(answer);
}

// Every call must be ended; one whose end has not come is stopped.
EXPORT void libchat_call_end(void * call) {
    delete static_cast<Call *>(call);
}

// Parse a template: {"source", "bos", "eos"}. Return a call, null without memory for it.
// Reply: {"capabilities": {name: bool}}.
EXPORT void * libchat_template_call(const char * request) {
    // The library's warnings are for developers of templates; what fails is thrown.
    common_log_set_verbosity_thold(-1);
    const auto parse = [text = std::string(request)](std::unique_ptr<Template> & made) {
        const common_json asked = common_json::parse(text);
        made = std::make_unique<Template>();
        const std::string source = asked.at("source").get<std::string>();
        const std::string bos = asked.value("bos", ""), eos = asked.value("eos", "");
        try {
            made->templates = common_chat_templates_init(nullptr, source, bos, eos);
        } catch (const std::exception &) {
            // Its exception has lost its words; parsed here, it has them.
            common_chat_template(source, bos, eos);
            throw;
        }
        common_json capabilities = common_json::object();
        for (const auto & [name, has] : common_chat_templates_get_caps(made->templates.get())) {
            capabilities[name] = has;
        }
        common_json found = common_json::object();
        found["capabilities"] = capabilities;
        return found;
    };
    return call<Template>(parse, ANALYSIS_SECONDS);
}

EXPORT void libchat_template_free(void * handle) {
    const std::unique_ptr<Template> made(static_cast<Template *>(handle));
    DeepCall freed([templates = std::move(made->templates)] {}, SECONDS);
    while (!freed.wait()) {
    }
}

// End all calls soon, also those to come: the program ends.
EXPORT void libchat_stop() {
    stop_all();
}

// Render a conversation: {"messages", "tools", "tool_choice", "parallel_tool_calls",
// "json_schema", "grammar", "add_generation_prompt", "continue_final_message",
// "reasoning_format", "enable_thinking", "variables", "end_reasoning"}, in OpenAI's format; only
// messages must be. With end_reasoning, reasoning that the template begins is ended at once.
// Return a call, null without memory for it. Reply: see prompt_reply.
EXPORT void * libchat_prompt_call(const void * handle, const char * request) {
    const auto render = [templates = static_cast<const Template *>(handle)->templates,
                         text = std::string(request)](std::unique_ptr<Prompt> & made) {
        const common_json asked = common_json::parse(text);
        const common_chat_templates_inputs inputs = inputs_of(asked);
        common_chat_params found = common_chat_templates_apply(templates.get(), inputs);
        if (asked.value("end_reasoning", false)) {
            end_reasoning(found);
        }
        auto parser = std::make_shared<common_chat_parser_params>(found);
        parser->reasoning_format = inputs.reasoning_format;
        parser->parse_tool_calls =
            !inputs.tools.empty() && inputs.tool_choice != COMMON_CHAT_TOOL_CHOICE_NONE;
        parser->is_continuation = inputs.continue_final_message != COMMON_CHAT_CONTINUATION_NONE;
        if (!found.parser.empty()) {
            parser->parser.load(found.parser);
        }
        made = std::make_unique<Prompt>();
        made->parser = std::move(parser);
        return prompt_reply(found);
    };
    return call<Prompt>(render);
}

EXPORT void libchat_prompt_free(void * handle) {
    delete static_cast<Prompt *>(handle);
}

// Begin to read an answer to a prompt. Reply: {}. Return the handle, null with an error.
EXPORT void * libchat_answer_new(const void * handle, char ** answer) {
    std::unique_ptr<Answer> made;
    *answer = guarded([&] {
        made = std::make_unique<Answer>();
        made->parser = static_cast<const Prompt *>(handle)->parser;
        if (made->parser->is_continuation) {
            // What the conversation holds already is no news.
            made->message = common_chat_parse("", true, *made->parser);
        }
        return common_json::object();
    });
    if (is_error(*answer)) {
        made.reset();
    }
    return made.release();
}

// Take in `size` bytes of text, whole characters; `partial` while more may come.
// Reply: {"news": [{"reasoning", "content", "call": {id, name, arguments}, "index"}], …}, and at
// the end "message": {"reasoning", "content", "calls": [{id, name, arguments}]}.
EXPORT char * libchat_answer_feed(void * handle, const char * text, size_t size, int partial) {
    return guarded([&] {
        Answer & answer = *static_cast<Answer *>(handle);
        answer.text.append(text, size);
        common_chat_msg message = common_chat_parse(answer.text, partial != 0, *answer.parser);
        std::vector<common_chat_msg_diff> diffs;
        if (!message.empty()) {
            name_calls(answer, message);
            diffs = common_chat_msg_diff::compute_diffs(answer.message, message);
            answer.message = std::move(message);
        }
        common_json found = common_json::object();
        found["news"] = news_json(diffs);
        if (!partial) {
            found["message"] = message_json(answer.message);
        }
        return found;
    });
}

EXPORT void libchat_answer_free(void * handle) {
    delete static_cast<Answer *>(handle);
}

// Convert a JSON schema. Return a call, null without memory for it; it makes nothing.
// Reply: {"grammar": the schema's grammar, in GBNF; "incomplete": what of the schema it does not
// express, empty if all is}.
EXPORT void * libchat_grammar_call(const char * schema) {
    const auto convert = [text = std::string(schema)](std::unique_ptr<int> &) {
        common_json found = common_json::object();
        found["grammar"] = json_schema_to_grammar(common_json::parse(text), true);
        found["incomplete"] = notes_last();
        return found;
    };
    return call<int>(convert);
}

// Return a sampler that ends the reasoning after `budget` tokens, -1 for never, null where that
// fails. `ends` are `count` token sequences one after the other, of `sizes` tokens each; the
// first of them is what is forced. The sampler is freed by llama_sampler_free, or with its chain.
EXPORT void * libchat_budget_new(
    const void * vocabulary, const int32_t * start, size_t start_size, const int32_t * ends,
    const size_t * sizes, size_t count, const int32_t * forced, size_t forced_size, int32_t budget) {
    try {
        std::vector<llama_tokens> sequences;
        for (size_t i = 0; i < count; i++) {
            sequences.emplace_back(ends, ends + sizes[i]);
            ends += sizes[i];
        }
        return common_reasoning_budget_init(
            static_cast<const llama_vocab *>(vocabulary), { llama_tokens(start, start + start_size) },
            sequences, llama_tokens(forced, forced + forced_size), budget < 0 ? INT_MAX : budget);
    } catch (...) {
        return nullptr;
    }
}

// Return whether the model is reasoning: within the budget, or while its end is forced.
EXPORT int libchat_budget_reasons(const void * sampler) {
    const auto state =
        common_reasoning_budget_get_state(static_cast<const llama_sampler *>(sampler));
    return state != REASONING_BUDGET_IDLE && state != REASONING_BUDGET_DONE;
}

// Return the tokens that ended the reasoning, null if none did, and their number in `size`.
EXPORT const int32_t * libchat_budget_end(const void * sampler, size_t * size) {
    const llama_tokens * end =
        common_reasoning_budget_get_end_match(static_cast<const llama_sampler *>(sampler));
    *size = end ? end->size() : 0;
    return end ? end->data() : nullptr;
}
