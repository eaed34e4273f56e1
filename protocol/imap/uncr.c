#include "protocol/imap/uncr.h"

size_t
uncr_push(struct uncr *u, struct span in, char *out)
{
	char *to = out;

	while (in.n > 0) {
		const char *cr;
		size_t n;

		if (u->cr) {
			if (*in.p != '\n' || u->after_cr)
				*to++ = '\r';
			u->after_cr = *in.p == '\r';
			u->cr = false;
			if (*in.p == '\r') {
				u->cr = true;
				in = span_from(in, 1);
				continue;
			}
		}
		u->after_cr = false;
		cr = memchr(in.p, '\r', in.n);
		n = cr == NULL ? in.n : (size_t)(cr - in.p);
		memcpy(to, in.p, n);
		to += n;
		in = span_from(in, n);
		if (in.n > 0) {
			u->cr = true;
			in = span_from(in, 1);
		}
	}
	return (size_t)(to - out);
}

size_t
uncr_end(struct uncr *u, char out[static 1])
{
	size_t n = u->cr;

	*out = '\r';
	*u = (struct uncr){0};
	return n;
}
