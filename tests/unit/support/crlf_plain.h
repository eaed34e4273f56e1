/* The plain C twin of storage/crlf.h, compiled without SSE2 under names of its own. */
#ifndef TESTS_CRLF_PLAIN_H
#define TESTS_CRLF_PLAIN_H

#include "storage/crlf.h"

size_t plain_crlf_push(struct crlf *, struct span in, char *out, size_t cap, size_t *used);
size_t plain_crlf_end(struct crlf *, char out[static 2]);
size_t plain_crlf_skip(struct crlf *, struct span in, uint64_t wire_off);
void plain_wire_count_push(struct wire_count *, struct span stored);
void plain_wire_count_end(struct wire_count *);

#endif
