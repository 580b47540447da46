// ggml's sockets, with time limits, and made of connections that were accepted already.

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/time.h>

static int patience; // seconds that a peer may take to answer, 0 for no limit

// Let a peer that answers nothing be given up, and one that is gone or unreachable sooner, unless it
// was just being sent something: who computes takes nothing in meanwhile, and must not be given up.
static void set_patience(int fd) {
    const int on = 1, idle = 10, interval = 5, tries = 4;
    const unsigned int unacknowledged = 1000 * (unsigned int) patience;
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof interval);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &tries, sizeof tries);
    setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &unacknowledged, sizeof unacknowledged);
    const struct timeval limit = {patience, 0};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
}

#include "transport.cpp"

socket_ptr socket_t::adopt(int fd) {
    set_no_delay(fd);
    set_patience(fd);
    return socket_ptr(new socket_t(std::make_unique<impl>(fd)));
}

// Set the limit for connections made from now on, in seconds.
extern "C" __attribute__((visibility("default"))) void rpc_patience(int seconds) {
    patience = seconds;
}
