#include "protocol/pop3/stuff.h"

size_t
stuff_run(struct stuff *s, struct span in)
{
	const char *at;

	if (in.n == 0)
		return 0;
	if (!s->midline && !s->dotted && in.p[0] == '.') {
		s->dotted = true;
		return 0;
	}
	s->dotted = false;
	if ((at = memmem(in.p, in.n, "\n.", 2)) != NULL) {
		s->midline = false;
		s->dotted = true;
		return (size_t)(at + 1 - in.p);
	}
	s->midline = in.p[in.n - 1] != '\n';
	return in.n;
}
