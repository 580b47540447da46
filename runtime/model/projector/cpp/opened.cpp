// Projectors that lie in a file which is open already; see opened.h.

#include "opened.h"

#include <cstdio>
#include <stdexcept>

#include <unistd.h>

#undef gguf_init_from_file

namespace {

// Other threads and processes have the same descriptor, and so the same position: it is not used.
size_t read_at(const Place & place, uint64_t offset, void * output, size_t size) {
    size_t done = 0;
    while (done < size) {
        const off_t where = (off_t) (place.offset + offset + done);
        const ssize_t got = pread(place.descriptor, (char *) output + done, size - done, where);
        if (got <= 0) {
            break;
        }
        done += (size_t) got;
    }
    return done;
}

size_t read_gguf(void * place, void * output, uint64_t offset, size_t size) {
    return read_at(*static_cast<const Place *>(place), offset, output, size);
}

}  // namespace

Place::Place(const std::string & path) {
    unsigned long long begin = 0, length = 0;
    if (std::sscanf(path.c_str(), "%d+%llu+%llu", &descriptor, &begin, &length) != 3) {
        throw std::runtime_error("the projector's place is not told");
    }
    offset = begin;
    size = length;
}

gguf_context * opened_gguf(const char * path, gguf_init_params params) {
    Place place(path);
    return gguf_init_from_callback(read_gguf, &place, 0, place.size, params);
}

OpenedStream & OpenedStream::seekg(size_t offset, std::ios_base::seekdir) {
    position = offset;
    return *this;
}

OpenedStream & OpenedStream::read(char * buffer, size_t size) {
    if (read_at(place, position, buffer, size) != size) {
        throw std::runtime_error("the projector ends in the middle of a tensor");
    }
    position += size;
    return *this;
}

OpenedStream opened_stream(const std::string & path) { return OpenedStream(path); }
