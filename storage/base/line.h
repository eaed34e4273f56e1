/*
 * line: a push parser that cuts a byte stream into lines (POP3 commands, replies
 * between our own processes). A line longer than its room is swallowed to its LF
 * and answered once as LONG.
 */
#ifndef BASE_LINE_H
#define BASE_LINE_H

#include "storage/base/span.h"

enum line_ev {
	LINE_MORE,  /* `in` is used up; no line yet */
	LINE_READY, /* buf[0..len) is a line without its LF; a final CR is still there */
	LINE_LONG,  /* a line did not fit; buf holds its beginning */
};

struct line {
	char *buf; /* the caller's room */
	size_t cap;
	size_t len;
	bool over;
	bool done; /* the last push answered: the next one starts a new line */
};

/* Consume octets of *in up to the end of the first line in it. Cannot fail. */
enum line_ev line_push(struct line *, struct span *in);

/* The line that READY announced, without a final CR. Borrowed until the next push. */
struct span line_text(const struct line *);

#endif
