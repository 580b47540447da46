/* What runtime/model/cpu_variants.py does with a CPU variant, for processors that are emulated:
 *
 *   probe VARIANT               print how well it suits the processor
 *   probe VARIANT MODEL ROW …   print the logits after each row of tokens ("1,2,3"), one after the
 *                               other in one conversation, as little-endian float32
 */

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ggml-backend.h"
#include "llama.h"

enum { ROOM = 256 }; /* tokens, of the whole conversation */

static int fail(const char *what) {
    fprintf(stderr, "probe: %s\n", what);
    return 1;
}

static void silent(enum ggml_log_level level, const char *text, void *data) {
    (void)level, (void)text, (void)data;
}

static int print_score(const char *variant) {
    void *library = dlopen(variant, RTLD_NOW);
    if (!library) return fail(dlerror());
    int (*score)(void) = (int (*)(void))dlsym(library, "ggml_backend_score");
    if (!score) return fail(dlerror());
    printf("%d\n", score());
    return 0;
}

static int read_row(char *text, llama_token *row) {
    int count = 0;
    for (char *word = strtok(text, ","); word && count < ROOM; word = strtok(NULL, ","))
        row[count++] = atoi(word);
    return count;
}

int main(int count, char **arguments) {
    if (count < 2) return fail("VARIANT is missing");
    if (count < 4) return print_score(arguments[1]);
    llama_log_set(silent, NULL);
    if (!ggml_backend_load(arguments[1])) return fail("the engine refuses the variant");
    llama_backend_init();
    struct llama_model_params how = llama_model_default_params();
    struct llama_model *model = llama_model_load_from_file(arguments[2], how);
    if (!model) return fail("the model cannot be loaded");
    struct llama_context_params settings = llama_context_default_params();
    settings.n_ctx = settings.n_batch = ROOM;
    settings.n_threads = settings.n_threads_batch = 1;
    struct llama_context *context = llama_init_from_model(model, settings);
    if (!context) return fail("there is no context");
    size_t width = (size_t)llama_vocab_n_tokens(llama_model_get_vocab(model));
    for (int i = 3; i < count; i++) {
        llama_token row[ROOM];
        int length = read_row(arguments[i], row);
        if (llama_decode(context, llama_batch_get_one(row, length))) return fail("a row failed");
        float *logits = llama_get_logits_ith(context, -1);
        if (fwrite(logits, sizeof *logits, width, stdout) != width) return fail("nobody listens");
    }
    return 0;
}
