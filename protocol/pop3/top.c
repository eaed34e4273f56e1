#include "protocol/pop3/top.h"

/* A line has ended: what follows it is wanted, or not. */
static void
end_line(struct top *t)
{
	if (t->in_body)
		t->lines--;
	else if (t->width < 2)
		t->in_body = true;
	t->done = t->in_body && t->lines == 0;
	t->width = 0;
}

size_t
top_run(struct top *t, struct span in)
{
	struct span rest = in;

	while (rest.n > 0 && !t->done) {
		const char *lf = memchr(rest.p, '\n', rest.n);
		size_t n = lf == NULL ? rest.n : (size_t)(lf - rest.p);

		if (n > 0)
			t->width = t->width == 0 && n == 1 && rest.p[0] == '\r' ? 1 : 2;
		rest = span_from(rest, lf == NULL ? n : n + 1);
		if (lf != NULL)
			end_line(t);
	}
	return (size_t)(rest.p - in.p);
}
