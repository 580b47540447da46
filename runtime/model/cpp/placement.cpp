// Placement of a model: llama.cpp's own fitting of layers to the memory of devices (common/fit.h),
// for a model that lies somewhere in an open file instead of at a path.

#include "fit.h"

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <vector>

#define EXPORT extern "C" __attribute__((visibility("default")))

namespace {

// What this thread is placing, and where in it the model begins.
thread_local FILE * file = nullptr;
thread_local off_t begin = 0;

class Placed {
  public:
    explicit Placed(FILE * given) {
        file = given;
        begin = ftello(given);
    }
    ~Placed() {
        fseeko(file, begin, SEEK_SET);
        file = nullptr;
    }
};

}  // namespace

// fit.cpp is compiled with this for llama_model_load_from_file.
extern "C" llama_model * libchat_load(const char *, llama_model_params parameters) {
    if (fseeko(file, begin, SEEK_SET) != 0) {
        return nullptr;
    }
    return llama_model_load_from_file_ptr(file, parameters);
}

// fit.cpp is compiled with this for common_log_get_verbosity_thold: what it logs is for a terminal.
int libchat_silence() {
    return -1;
}

// Set in `model` how many layers go to its devices, such that `margins` bytes stay free on each;
// `split` and `overrides` are room for what it points to then. Return 0, or another number where it
// cannot be done.
EXPORT int libchat_fit(
    FILE * given, llama_model_params * model, llama_context_params * context, float * split,
    llama_model_tensor_buft_override * overrides, size_t * margins) {
    try {
        const Placed placed(given);
        return common_fit_params(
            "", model, context, split, overrides, margins, context->n_ctx, nullptr, GGML_LOG_LEVEL_ERROR);
    } catch (...) {
        return COMMON_PARAMS_FIT_STATUS_ERROR;
    }
}

// Write the bytes that are free on a device, that it has, and that the model, its context and its
// computations take there: for each device of the model, and at last for the processor. Return how
// many of these rows there are, of which at most `room` are written; negative where that fails.
// `layers` becomes the number of the model's layers.
EXPORT int libchat_memory(
    FILE * given, const llama_model_params * model, const llama_context_params * context,
    int64_t * rows, size_t room, uint32_t * layers) {
    try {
        const Placed placed(given);
        std::vector<ggml_backend_dev_t> devices;
        uint32_t trained = 0, experts = 0;
        const auto found = common_get_device_memory_data(
            "", model, context, devices, *layers, trained, experts, GGML_LOG_LEVEL_ERROR);
        for (size_t i = 0; i < std::min(room, found.size()); i++) {
            const auto & one = found[i];
            for (const int64_t value : { one.free, one.total, int64_t(one.model), int64_t(one.context), int64_t(one.compute) }) {
                *rows++ = value;
            }
        }
        return int(found.size());
    } catch (...) {
        return -1;
    }
}
