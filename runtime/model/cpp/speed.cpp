// How fast a device computes, so that one that is slower than the processor can be left out.

#include "ggml-cpp.h"

#include <algorithm>
#include <cstdint>
#include <vector>

#define EXPORT extern "C" __attribute__((visibility("default")))

namespace {

// Matrices as the layers of a model of a few gigabytes have them. Together they are larger than
// the caches of most processors, as a model's are: a token costs their way through the memory.
constexpr int64_t WIDTH = 4096, MATRICES = 12;
// What is measured of a prompt, by so many tokens and matrices: all of it would take a slow
// processor several seconds.
constexpr int64_t TOKENS = 64, PART = 4;
// What the times are extrapolated to: tokens of a question, and of its answer.
constexpr double QUESTION = 500, ANSWER = 100;
// A measurement ends after so many runs or microseconds; the fastest run counts.
constexpr int RUNS = 10;
constexpr int64_t ENOUGH = 300000;

ggml_context_ptr descriptions() {
    return ggml_context_ptr(ggml_init({ 64 * ggml_tensor_overhead() + ggml_graph_overhead(), nullptr, true }));
}

// Return the seconds that it takes to send `tokens` through the first of `weights`; negative where
// the device cannot.
double seconds(ggml_backend_t backend, const std::vector<ggml_tensor *> & weights, int64_t matrices, int64_t tokens) {
    const auto context = descriptions();
    ggml_tensor * value = ggml_new_tensor_2d(context.get(), GGML_TYPE_F32, WIDTH, tokens);
    ggml_tensor * input = value;
    ggml_set_input(input);
    for (int64_t i = 0; i < matrices; i++) {
        value = ggml_mul_mat(context.get(), weights[i], value);
    }
    ggml_set_output(value);
    ggml_cgraph * graph = ggml_new_graph(context.get());
    ggml_build_forward_expand(graph, value);
    const ggml_gallocr_ptr memory(ggml_gallocr_new(ggml_backend_get_default_buffer_type(backend)));
    if (!ggml_gallocr_alloc_graph(memory.get(), graph)) {
        return -1;
    }
    const std::vector<float> ones(WIDTH * tokens, 1.0f);
    ggml_backend_tensor_set(input, ones.data(), 0, ggml_nbytes(input));
    int64_t best = INT64_MAX, all = 0;
    for (int run = 0; run <= RUNS && all < ENOUGH; run++) {
        const int64_t begin = ggml_time_us();
        if (ggml_backend_graph_compute(backend, graph) != GGML_STATUS_SUCCESS) {
            return -1;
        }
        ggml_backend_synchronize(backend);
        if (run > 0) {  // the first one compiles, or wakes what sleeps
            best = std::min(best, ggml_time_us() - begin);
            all += ggml_time_us() - begin;
        }
    }
    return best / 1e6;
}

}  // namespace

// Return the seconds that a device would take for the matrices here of a usual question with its
// answer; negative where it cannot. `threads` is how many of the processor's to use, if it is that.
EXPORT double libchat_speed(ggml_backend_dev_t device, int threads) {
    ggml_time_init();
    const ggml_backend_ptr backend(ggml_backend_dev_init(device, nullptr));
    if (!backend) {
        return -1;
    }
    const auto set_threads = reinterpret_cast<ggml_backend_set_n_threads_t>(ggml_backend_reg_get_proc_address(
        ggml_backend_dev_backend_reg(device), "ggml_backend_set_n_threads"));
    if (set_threads) {
        set_threads(backend.get(), threads);
    }
    const auto context = descriptions();
    std::vector<ggml_tensor *> weights;
    for (int64_t i = 0; i < MATRICES; i++) {
        weights.push_back(ggml_new_tensor_2d(context.get(), GGML_TYPE_Q4_K, WIDTH, WIDTH));
    }
    const ggml_backend_buffer_ptr buffer(ggml_backend_alloc_ctx_tensors(context.get(), backend.get()));
    if (!buffer) {
        return -1;
    }
    ggml_backend_buffer_clear(buffer.get(), 0);
    const double token = seconds(backend.get(), weights, MATRICES, 1);
    const double prompt = seconds(backend.get(), weights, PART, TOKENS);
    if (token < 0 || prompt < 0) {
        return -1;
    }
    return prompt * (QUESTION / TOKENS) * (double(MATRICES) / PART) + token * ANSWER;
}
