#include "notes.h"

#include "ggml.h"

#include <cstdarg>

namespace {

thread_local std::string first, last;

int take_down(const char * format, va_list arguments) {
    va_list again;
    va_copy(again, arguments);
    const int size = vsnprintf(nullptr, 0, format, arguments);
    if (size > 0) {
        std::string text(size_t(size) + 1, '\0');
        vsnprintf(&text[0], text.size(), format, again);
        text.pop_back();
        if (first.empty()) {
            first = text;
        }
        last = std::move(text);
    }
    va_end(again);
    return size;
}

}  // namespace

extern "C" int libchat_note(FILE *, const char * format, ...) {
    va_list arguments;
    va_start(arguments, format);
    const int size = take_down(format, arguments);
    va_end(arguments);
    return size;
}

void libchat_log(ggml_log_level level, const char * format, ...) {
    if (level >= GGML_LOG_LEVEL_WARN && level != GGML_LOG_LEVEL_CONT) {
        va_list arguments;
        va_start(arguments, format);
        take_down(format, arguments);
        va_end(arguments);
    }
}

void notes_clear() {
    first.clear();
    last.clear();
}

const std::string & notes_first() {
    return first;
}

const std::string & notes_last() {
    return last;
}
