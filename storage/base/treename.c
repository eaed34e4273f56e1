#include "storage/base/treename.h"

#include "storage/base/utf7.h"

static const char hex[] = "0123456789ABCDEF";

static bool
is_control(char c)
{
	return (unsigned char)c < 0x20 || c == 0x7f;
}

bool
treename_has_control(struct span s)
{
	for (size_t i = 0; i < s.n; i++)
		if (is_control(s.p[i]))
			return true;
	return false;
}

bool
treename_is_foreign(unsigned char c)
{
	return c == '&' || c > 0x7f || is_control((char)c);
}

static int
hex_value(char c)
{
	const char *at;

	if (c >= 'a' && c <= 'f')
		c = (char)(c - 'a' + 'A');
	return c != '\0' && (at = strchr(hex, c)) != NULL ? (int)(at - hex) : -1;
}

int
treename_escaped(struct span s)
{
	int hi, lo;

	if (s.n < 3 || s.p[0] != '%' || (hi = hex_value(s.p[1])) == -1 ||
	    (lo = hex_value(s.p[2])) == -1)
		return -1;
	return hi << 4 | lo;
}

static bool
is_message(struct span s)
{
	size_t digits = 0;

	while (digits < s.n && s.p[digits] >= '0' && s.p[digits] <= '9')
		digits++;
	return digits > 0 && span_eq(span_from(s, digits), SPAN(".eml"));
}

static int
add_escape(struct buf *out, char c)
{
	unsigned char u = (unsigned char)c;
	char text[3] = {'%', hex[u >> 4], hex[u & 15]};

	return buf_add(out, (struct span){text, 3});
}

int
treename_escape(struct span in, bool foreign, struct buf *out)
{
	bool first = is_message(in) || in.p[0] == '.' || span_eq(in, SPAN(TREENAME_EMPTY));

	/* it could be taken for the UTF-8 of a name that is text */
	foreign = foreign && utf8_is_valid(in);
	for (; in.n > 0; in = span_from(in, 1), first = false) {
		char c = in.p[0];
		bool hide = first || is_control(c) || treename_escaped(in) != -1 ||
			    (foreign && treename_is_foreign((unsigned char)c));

		if ((hide ? add_escape(out, c) : buf_addc(out, c)) == -1)
			return -1;
	}
	return 0;
}

int
treename_unescape(struct span tree, struct buf *out, bool *foreign)
{
	*foreign = !utf8_is_valid(tree);
	while (tree.n > 0) {
		int octet = treename_escaped(tree);

		if (octet != -1 && treename_is_foreign((unsigned char)octet))
			*foreign = true;
		if (buf_addc(out, octet != -1 ? (char)octet : tree.p[0]) == -1)
			return -1;
		tree = span_from(tree, octet != -1 ? 3 : 1);
	}
	return 0;
}
