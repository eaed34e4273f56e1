/*
 * out: what goes to the client, gathered so that many replies leave in one system call:
 * short texts are copied, octets of messages only pointed at. A client that takes
 * nothing for a while, or is gone, breaks it; then every call is -1 and nothing more is
 * sent.
 */
#ifndef PROTOCOL_OUT_H
#define PROTOCOL_OUT_H

#include <stdint.h>
#include <sys/uio.h>

#include "storage/base/span.h"

enum {
	OUT_LINE_MAX = 1024,  /* octets of one out_printf */
	OUT_COPY_MAX = 16384, /* octets of copies that wait */
	OUT_IOV_MAX = 128,    /* pieces that wait */
};

struct out {
	int fd; /* borrowed */
	int timeout_ms;
	size_t write_max; /* octets that a write cannot block on once poll allows it */
	bool is_socket, broken;
	char copy[OUT_COPY_MAX];
	size_t ncopy;
	struct iovec iov[OUT_IOV_MAX];
	int niov;
	uint64_t sent; /* octets since the beginning */
};

void out_open(struct out *, int fd, int timeout_ms);

int out_copy(struct out *, struct span);
int out_printf(struct out *, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* The octets stay as they are until the next out_flush() (it is borrowed until then). */
int out_ref(struct out *, struct span);

int out_flush(struct out *);

#endif
