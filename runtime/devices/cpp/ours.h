/* What ggml's RPC needs of ours, put into its source by bundler/engine/librpc.py.
 *
 * ggml ends the program when it loses a connection, and says neither which one nor that it was the
 * network's fault. A worker keeps tensors on disk without a limit, and believes what it reads there.
 */

#pragma once

#include <cstddef>
#include <mutex>
#include <string>
#include <unordered_map>

/* ---- The head: which worker was lost ------------------------------------------------------- */

static std::mutex peers_mutex;
static std::unordered_map<const void *, std::string> peers; /* the endpoints, by connection */
static thread_local std::string peer;                       /* of the connection in use */

/* Note that this thread opens a connection. */
static void serving(const void *connection, const std::string &endpoint) {
    std::lock_guard<std::mutex> lock(peers_mutex);
    peers[connection] = peer = endpoint;
}

/* Note that this thread sends and receives over a connection. */
static void serving(const void *connection) {
    std::lock_guard<std::mutex> lock(peers_mutex);
    peer = peers[connection];
}

/* runtime/model/llama_api.py knows these words. */
#undef RPC_STATUS_ASSERT
#define RPC_STATUS_ASSERT(x) \
    if (!(x)) GGML_ABORT("lost the worker %s", peer.c_str())

/* ---- The worker: what it may keep ---------------------------------------------------------- */

static size_t cache_room; /* bytes that may still be written */

/* Tell whether a tensor may be kept, and count it. */
static bool may_keep(size_t size) {
    if (size > cache_room) return false;
    cache_room -= size;
    return true;
}
