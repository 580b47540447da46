// One session of a worker: ggml's own server, on a connection that was accepted already.
//
// ggml's accepts connections itself, one after the other and without a time limit, so that anybody
// who connects and says nothing keeps all others waiting, and what one sends ends the program of all.

#include "ggml-rpc.cpp"

static std::vector<ggml_backend_t> offered;
static ggml_backend_device processor; // ggml's, but for the memory that it tells
static size_t memory;

static void tell_memory(ggml_backend_dev_t, size_t * free, size_t * total) {
    *free = *total = memory;
}

// Open the devices that are offered, the processor with as many bytes of memory; return 0, or the
// number of the device that cannot be opened, from 1.
extern "C" GGML_BACKEND_API size_t worker_open(ggml_backend_dev_t * devices, size_t count,
                                               size_t threads, size_t bytes) {
    memory = bytes;
    for (size_t i = 0; i < count; i++) {
        ggml_backend_t backend = ggml_backend_dev_init(devices[i], nullptr);
        if (!backend) return i + 1;
        ggml_backend_reg_t reg = ggml_backend_dev_backend_reg(devices[i]);
        auto set_threads = (ggml_backend_set_n_threads_t) ggml_backend_reg_get_proc_address(
            reg, "ggml_backend_set_n_threads");
        if (set_threads) set_threads(backend, (int) threads);
        if (ggml_backend_dev_type(devices[i]) == GGML_BACKEND_DEVICE_TYPE_CPU) {
            processor = *devices[i];
            processor.iface.get_memory = tell_memory;
            backend->device = &processor;
        }
        offered.push_back(backend);
    }
    return 0;
}

// Serve the connection until it ends. Large tensors are kept in the folder, if there is one, and in
// no more bytes than `room`.
extern "C" GGML_BACKEND_API void worker_serve(int fd, const char * folder, size_t room) {
    cache_room = room;
    rpc_serve_client(offered, folder, socket_t::adopt(fd));
}
