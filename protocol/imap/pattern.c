#include "protocol/imap/pattern.h"

static bool
is_wildcard(char c)
{
	return c == '*' || c == '%';
}

/* `%*` and `**` say the same as `*`. */
int
pattern_make(struct arena *a, struct span text, char separator, struct pattern *p)
{
	char *out = arena_alloc(a, text.n + 1);
	size_t n = 0;

	*p = (struct pattern){.separator = separator};
	p->at = arena_alloc(a, (text.n + 1) * sizeof *p->at);
	if (out == NULL || p->at == NULL)
		return -1;
	for (size_t i = 0; i < text.n; i++) {
		char c = text.p[i];

		if (!is_wildcard(c))
			p->least++;
		if (!is_wildcard(c) || n == 0 || !is_wildcard(out[n - 1]))
			out[n++] = c;
		else if (c == '*')
			out[n - 1] = c;
	}
	p->text = (struct span){out, n};
	return 0;
}

static char
upper(char c)
{
	return c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
}

/* How many octets of the name have no case. */
static size_t
folded(const struct pattern *p, struct span name)
{
	struct span inbox = SPAN("INBOX");

	return span_starts(name, inbox) &&
	               (name.n == inbox.n || name.p[inbox.n] == p->separator)
	           ? inbox.n
	           : 0;
}

/* A wildcard may also be nothing. */
static void
pass_wildcard(struct pattern *p, size_t i)
{
	if (p->at[i] && i < p->text.n && is_wildcard(p->text.p[i]))
		p->at[i + 1] = true;
}

/* One octet further. False: nothing can match any more. */
static bool
step(struct pattern *p, char c, bool fold)
{
	bool was = p->at[0], alive = false;

	p->at[0] = false;
	for (size_t i = 0; i < p->text.n; i++) {
		char want = p->text.p[i];
		bool inside = p->at[i + 1]; /* of that wildcard, when it is one */

		if (is_wildcard(want))
			p->at[i + 1] =
			    p->at[i] || (inside && (want == '*' || c != p->separator));
		else
			p->at[i + 1] =
			    was && (fold ? upper(c) == upper(want) : c == want);
		alive |= p->at[i + 1];
		was = inside;
	}
	p->steps += p->text.n;
	return alive;
}

bool
pattern_matches(struct pattern *p, struct span name)
{
	size_t fold = folded(p, name);

	if (p->least > name.n)
		return false;
	memset(p->at, 0, (p->text.n + 1) * sizeof *p->at);
	p->at[0] = true;
	pass_wildcard(p, 0);
	for (size_t i = 0; i < name.n; i++)
		if (!step(p, name.p[i], i < fold))
			return false;
	return p->at[p->text.n];
}
