/*
 * reader: the octets of messages, in order and exactly as many as the index says, or an
 * error; never others. One window of memory serves them all: small messages come from
 * big reads of `wire`, so that neighbours cost no further read; large ones from their
 * own file, whose descriptor keeps the octets even if somebody removes the message from
 * the store behind our back while they are being sent.
 */
#ifndef PROTOCOL_READER_H
#define PROTOCOL_READER_H

#include "protocol/view.h"

#define READER_WINDOW (256 * 1024) /* octets of memory; larger messages are `large` */

struct reader {
	int dir, wire;     /* the mailbox (borrowed), its `wire` */
	char *window;      /* READER_WINDOW octets */
	uint64_t wire_off; /* where in `wire` the window begins */
	size_t held;       /* octets in it; 0: none */
	uint64_t wire_end; /* nothing past it is asked for in advance */
	unsigned nshort;   /* waits for `wire` to grow, since it was last long enough */
	struct body {      /* the message being read */
		enum {
			BODY_IN_WINDOW, /* all that is left of it is there */
			BODY_IN_WIRE,
			BODY_IN_FILE,
		} where;
		int fd;             /* its own file, or -1 */
		uint64_t off, left; /* the next octet to hand out, in fd or `wire` */
		size_t ready;       /* octets of it at the window's beginning, not yet
				       handed out; not IN_WINDOW */
		bool has_nul;       /* the index says that it holds NULs */
	} body;
};

struct reader_message {
	uint32_t uid;
	uint64_t wire_off, size;
	bool has_nul;
};

/* `wire_end`: where the last message that the caller knows ends. */
int reader_open(const struct view *, uint64_t wire_end, struct reader *);
void reader_close(struct reader *);

/*
 * Begin a message that lies in the window already, if it does: then spans handed out
 * earlier stay good. False: they must have been used before reader_begin() is called.
 */
bool reader_begin_held(struct reader *, const struct reader_message *);

/*
 * Make sure that the message can be read, and begin it: small ones are wholly in memory
 * afterwards. ENOENT: it is gone, removed by another program. Earlier spans are void.
 */
int reader_begin(struct reader *, const struct reader_message *);

/* The next octets of the message (borrowed until the next call here): 1, 0 at the end,
 * or -1: then what was handed out is all that can be had. */
int reader_next(struct reader *, struct span *);

/* Pass over the next n octets of it, n at most what is left: they are not read. */
void reader_skip(struct reader *, uint64_t n);

#endif
