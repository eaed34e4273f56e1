#include "storage/base/span.h"

#include <errno.h>

static char
lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

bool
span_eq(struct span a, struct span b)
{
	return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

bool
span_caseeq(struct span a, struct span b)
{
	if (a.n != b.n)
		return false;
	for (size_t i = 0; i < a.n; i++)
		if (lower(a.p[i]) != lower(b.p[i]))
			return false;
	return true;
}

bool
span_starts(struct span s, struct span prefix)
{
	return s.n >= prefix.n && span_eq((struct span){s.p, prefix.n}, prefix);
}

bool
span_cut(struct span *rest, char sep, struct span *head)
{
	const char *at;

	if (rest->n == 0)
		return false;
	if ((at = memchr(rest->p, sep, rest->n)) == NULL) {
		*head = *rest;
		*rest = span_from(*rest, rest->n);
	} else {
		*head = (struct span){rest->p, (size_t)(at - rest->p)};
		*rest = span_from(*rest, head->n + 1);
	}
	return true;
}

struct span
span_trim(struct span s)
{
	while (s.n > 0 && is_blank(s.p[0]))
		s = span_from(s, 1);
	while (s.n > 0 && is_blank(s.p[s.n - 1]))
		s.n--;
	return s;
}

bool
span_word(struct span *rest, struct span *word)
{
	size_t n = 0;

	while (rest->n > 0 && is_blank(rest->p[0]))
		*rest = span_from(*rest, 1);
	while (n < rest->n && !is_blank(rest->p[n]))
		n++;
	*word = (struct span){rest->p, n};
	*rest = span_from(*rest, n);
	return n > 0;
}

int
span_cstr(struct span s, char *out, size_t cap)
{
	if (s.n >= cap) {
		errno = ENAMETOOLONG;
		return -1;
	}
	if (s.n > 0 && memchr(s.p, '\0', s.n) != NULL) {
		errno = EINVAL;
		return -1;
	}
	if (s.n > 0)
		memcpy(out, s.p, s.n);
	out[s.n] = '\0';
	return 0;
}
