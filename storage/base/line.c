#include "storage/base/line.h"

enum line_ev
line_push(struct line *l, struct span *in)
{
	if (l->done) {
		l->len = 0;
		l->over = l->done = false;
	}
	while (in->n > 0) {
		const char *lf = memchr(in->p, '\n', in->n);
		size_t n = lf == NULL ? in->n : (size_t)(lf - in->p);
		size_t fits = n < l->cap - l->len ? n : l->cap - l->len;

		memcpy(l->buf + l->len, in->p, fits);
		l->len += fits;
		l->over |= fits < n;
		*in = span_from(*in, lf == NULL ? n : n + 1);
		if (lf != NULL) {
			l->done = true;
			return l->over ? LINE_LONG : LINE_READY;
		}
	}
	return LINE_MORE;
}

struct span
line_text(const struct line *l)
{
	struct span s = {l->buf, l->len};

	if (s.n > 0 && s.p[s.n - 1] == '\r')
		s.n--;
	return s;
}
