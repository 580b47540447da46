/* A backend for GPUs whose one device is the processor, until it fails as PLANTED says: HOW:AFTER. Where
 * it stands for CUDA, that is PLANTED_CUDA. Its device's place on the bus is CARD, "" if not known.
 *
 * The structures are ggml's own, as its backends fill them in. */

#define _GNU_SOURCE
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ggml-backend-impl.h"

static struct ggml_backend_device device;
static struct ggml_backend_reg registry;
static struct ggml_backend_buffer_type memory_type;
static ggml_backend_dev_t processor;
static size_t computed, opened, allocated; /* graphs, times, bytes in this process */

/* Return whether it is to fail so, having done a thing as often. */
static bool fails(const char *how, size_t count) {
    const char *planted = getenv(strcmp(WAY, "CUDA") ? "PLANTED" : "PLANTED_CUDA");
    const char *after = planted ? strchr(planted, ':') : NULL;
    if (!after || strlen(how) != (size_t)(after - planted)) return false;
    return !strncmp(planted, how, after - planted) && count > (size_t)atoll(after + 1);
}

/* Hang, without a way to be ended but by SIGKILL. */
static void hang(void) {
    for (;;) pause();
}

static void crash(void) { raise(SIGSEGV); }

static const char *name(ggml_backend_dev_t d) { (void)d; return WAY "0"; }
static const char *title(ggml_backend_dev_t d) { (void)d; return "Planted"; }
static void memory(ggml_backend_dev_t d, size_t *free, size_t *total) {
    (void)d;
    *free = *total = 8ull << 30;
}
static enum ggml_backend_dev_type type(ggml_backend_dev_t d) {
    (void)d;
    return GGML_BACKEND_DEVICE_TYPE_GPU;
}
static void properties(ggml_backend_dev_t d, struct ggml_backend_dev_props *found) {
    memset(found, 0, sizeof *found);
    found->name = name(d);
    found->description = title(d);
    found->type = type(d);
    found->device_id = *CARD ? CARD : NULL;
    memory(d, &found->memory_free, &found->memory_total);
}

static enum ggml_status compute(ggml_backend_t backend, struct ggml_cgraph *graph) {
    struct ggml_backend *real = backend->context;
    computed++;
    if (fails("crash", computed)) crash();
    if (fails("abort", computed)) abort();
    if (fails("hang", computed)) hang();
    if (fails("chatter", computed)) printf("driver: graph %zu\n", computed);
    if (fails("refuse", computed)) return GGML_STATUS_FAILED;
    if (fails("slow", computed)) usleep(500000);
    enum ggml_status status = real->iface.graph_compute(real, graph);
    struct ggml_tensor *last = ggml_graph_node(graph, -1);
    if (fails("nan", computed) && last->type == GGML_TYPE_F32)
        for (size_t i = 0; i < ggml_nelements(last); i++) ((float *)last->data)[i] = NAN;
    return status;
}

/* Real GPUs compute while others go on: what waits for them hangs, not what has them compute. */
static void wait_for(ggml_backend_t backend) {
    (void)backend;
    if (fails("hang-at-wait", computed)) hang();
}
static void copy_later(ggml_backend_t backend, const struct ggml_tensor *from, void *to,
                       size_t offset, size_t size) {
    (void)backend;
    memcpy(to, (const char *)from->data + offset, size);
}

static const char *backend_name(ggml_backend_t backend) { (void)backend; return WAY "0"; }
static void end(ggml_backend_t backend) {
    ggml_backend_free(backend->context);
    free(backend);
}
static ggml_backend_t start(ggml_backend_dev_t d, const char *parameters) {
    static ggml_guid guid = {'p', 'l', 'a', 'n', 't', 'e', 'd'};
    (void)d;
    opened++;
    if (fails("crash-at-load", opened)) crash();
    if (fails("hang-at-load", opened)) hang();
    if (fails("none-at-load", opened)) return NULL;
    ggml_backend_t backend = calloc(1, sizeof *backend);
    backend->guid = &guid;
    backend->device = &device;
    backend->context = ggml_backend_dev_init(processor, parameters);
    backend->iface.get_name = backend_name;
    backend->iface.free = end;
    backend->iface.graph_compute = compute;
    backend->iface.get_tensor_async = copy_later;
    backend->iface.synchronize = wait_for;
    return backend;
}

static const char *memory_name(ggml_backend_buffer_type_t t) { (void)t; return WAY "0"; }
static ggml_backend_buffer_t allocate(ggml_backend_buffer_type_t t, size_t size) {
    allocated += size;
    if (fails("full", allocated)) return NULL;
    if (fails("hang-at-allocation", allocated)) hang();
    ggml_backend_buffer_t made =
        ggml_backend_buft_alloc_buffer(ggml_backend_dev_buffer_type(processor), size);
    if (made) made->buft = t;
    return made;
}
static size_t alignment(ggml_backend_buffer_type_t t) {
    (void)t;
    return ggml_backend_buft_get_alignment(ggml_backend_dev_buffer_type(processor));
}
static bool is_host(ggml_backend_buffer_type_t t) { (void)t; return true; }
static ggml_backend_buffer_type_t kind(ggml_backend_dev_t d) { (void)d; return &memory_type; }
static bool can_compute(ggml_backend_dev_t d, const struct ggml_tensor *op) {
    (void)d;
    return ggml_backend_dev_supports_op(processor, op);
}
static bool can_use(ggml_backend_dev_t d, ggml_backend_buffer_type_t t) {
    (void)d;
    return ggml_backend_buft_is_host(t);
}

static const char *registry_name(ggml_backend_reg_t r) { (void)r; return WAY; }
static size_t count(ggml_backend_reg_t r) { (void)r; return !fails("gone", 1); }
static ggml_backend_dev_t get(ggml_backend_reg_t r, size_t i) { (void)r; (void)i; return &device; }
static void *address(ggml_backend_reg_t r, const char *n) { (void)r; (void)n; return NULL; }

__attribute__((visibility("default"))) ggml_backend_reg_t ggml_backend_init(void) {
    if (fails("chatter", 1)) printf("driver: hello\n");
    if (fails("exit", 1)) _exit(0);
    processor = ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU);
    registry = (struct ggml_backend_reg){.api_version = GGML_BACKEND_API_VERSION,
        .iface = {registry_name, count, get, address}};
    memory_type = (struct ggml_backend_buffer_type){.iface = {.get_name = memory_name,
        .alloc_buffer = allocate, .get_alignment = alignment, .is_host = is_host},
        .device = &device};
    device = (struct ggml_backend_device){.iface = {.get_name = name, .get_description = title,
        .get_memory = memory, .get_type = type, .get_props = properties, .init_backend = start,
        .get_buffer_type = kind, .supports_op = can_compute, .supports_buft = can_use},
        .reg = &registry};
    return &registry;
}
