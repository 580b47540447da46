// Grammars of answers: llama.cpp's own matcher, as a sampler that has a budget.
//
// A grammar may be ambiguous: what it takes to compile, and then for each token, may double with
// each of its rules. libllama's sampler of the same code could not be stopped.

#include "budget.h"
#include "llama-grammar.h"
#include "llama.h"
#include "notes.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <string>

#define EXPORT extern "C" __attribute__((visibility("default")))

namespace {

constexpr double COMPILE_SECONDS = 2, STEP_SECONDS = 0.25, ANSWER_SECONDS = 10;
constexpr size_t BYTES = 256 << 20;

struct GrammarFree {
    void operator()(llama_grammar * grammar) const { llama_grammar_free_impl(grammar); }
};

struct Grammar {
    std::unique_ptr<llama_grammar, GrammarFree> matcher;
    double left = ANSWER_SECONDS;
    std::string failure;
};

Grammar & of(const llama_sampler * sampler) {
    return *static_cast<Grammar *>(sampler->ctx);
}

// Let the matcher take a step. One that failed is in no state to go on from.
template <typename Step> void take(Grammar & grammar, Step && step) noexcept {
    if (!grammar.failure.empty()) {
        return;
    }
    try {
        const Budget budget(std::min(STEP_SECONDS, grammar.left), BYTES);
        const Watched watched;
        step(*grammar.matcher);
        grammar.left -= budget.used();
    } catch (const std::exception & exc) {
        grammar.failure = exc.what();
    } catch (...) {
        grammar.failure = "unknown error";
    }
}

const char * name(const llama_sampler *) {
    return "grammar";
}

void accept(llama_sampler * sampler, llama_token token) {
    take(of(sampler), [&](llama_grammar & matcher) { llama_grammar_accept_impl(matcher, token); });
}

void apply(llama_sampler * sampler, llama_token_data_array * candidates) {
    take(of(sampler), [&](llama_grammar & matcher) { llama_grammar_apply_impl(matcher, candidates); });
}

void free_sampler(llama_sampler * sampler) {
    delete static_cast<Grammar *>(sampler->ctx);
}

llama_sampler_i interface() {
    llama_sampler_i found = {};
    found.name = name;
    found.accept = accept;
    found.apply = apply;
    found.free = free_sampler;
    return found;
}

char * copy_of(const std::string & text) {
    return strdup(text.c_str());
}

}  // namespace

// Compile a grammar in GBNF, whose start is `root`. A lazy one applies from one of the `patterns` or
// `tokens` on. Return its sampler, to be freed by llama_sampler_free, or with its chain; null where
// that fails, with the reason, to be freed by libchat_free.
EXPORT llama_sampler * libchat_grammar_new(
    const void * vocabulary, const char * text, int lazy, const char ** patterns, size_t pattern_count,
    const int32_t * tokens, size_t token_count, char ** reason) {
    static llama_sampler_i steps = interface();
    *reason = nullptr;
    try {
        auto made = std::make_unique<Grammar>();
        notes_clear();
        {
            const Budget budget(COMPILE_SECONDS, BYTES);
            const Watched watched;
            made->matcher.reset(llama_grammar_init_impl(
                static_cast<const llama_vocab *>(vocabulary), text, "root", lazy != 0, patterns,
                pattern_count, tokens, token_count));
        }
        if (made->matcher) {
            return llama_sampler_init(&steps, made.release());
        }
        *reason = copy_of(notes_first());
    } catch (const std::exception & exc) {
        *reason = copy_of(exc.what());
    } catch (...) {
        *reason = copy_of("unknown error");
    }
    return nullptr;
}

// Return why a grammar's sampler is of no use any more, null if it is: as a token that was accepted is
// against the grammar, or as a step takes too long. It is valid until the sampler is freed.
EXPORT const char * libchat_grammar_failure(const llama_sampler * sampler) {
    const std::string & failure = of(sampler).failure;
    return failure.empty() ? nullptr : failure.c_str();
}
