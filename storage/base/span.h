/*
 * span: a look at somebody else's bytes. Never owns, never NUL-terminated;
 * a NUL is a byte like any other.
 */
#ifndef BASE_SPAN_H
#define BASE_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#define ARRAY_LEN(a) (sizeof(a) / sizeof *(a))

struct span {
	const char *p; /* borrowed; may be NULL when n is 0 */
	size_t n;      /* octets */
};

/* A span over a string literal, without its NUL. */
#define SPAN(lit) ((struct span){"" lit, sizeof(lit) - 1})

static inline struct span
span_of(const char *s)
{
	return (struct span){s, strlen(s)};
}

/* The octets from `off` on; empty when `off` is at or past the end. */
static inline struct span
span_from(struct span s, size_t off)
{
	if (s.n == 0) /* p may be NULL, to which nothing may be added, not even 0 */
		return s;
	return off >= s.n ? (struct span){s.p + s.n, 0}
			  : (struct span){s.p + off, s.n - off};
}

bool span_eq(struct span, struct span);
bool span_caseeq(struct span, struct span); /* ASCII letters without case */
bool span_starts(struct span, struct span prefix);

/*
 * Take what lies before the first `sep` off the front of *rest into *head, and
 * the separator with it; all of *rest when there is none. False when *rest was
 * empty: the usual loop is `while (span_cut(&rest, '\n', &line))`.
 */
bool span_cut(struct span *rest, char sep, struct span *head);

/* Without leading and trailing spaces, tabs, CRs. */
struct span span_trim(struct span);

/* Take the next run of non-blanks (space, tab) off *rest; false at the end. */
bool span_word(struct span *rest, struct span *word);

/*
 * Copy into out[0..cap) and end it with a NUL. -1 (ENAMETOOLONG) when it does
 * not fit, -1 (EINVAL) when it holds a NUL, which C strings cannot carry.
 */
int span_cstr(struct span, char *out, size_t cap);

#endif
