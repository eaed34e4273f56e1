#include "storage/subscriptions.h"

#include <errno.h>
#include <stdlib.h>

#include "storage/base/hash.h"
#include "storage/grow.h"

#define VERSION	  "V\t"
#define VERSION_2 VERSION "2\n\n"

/* ---- tab-escaping, as Dovecot does it: \001 and a letter ------------------------- */

static const struct {
	char octet, letter;
} escapes[] = {{'\0', '0'}, {'\001', '1'}, {'\t', 't'}, {'\r', 'r'}, {'\n', 'n'}};

static int
add_escaped(struct buf *out, struct span s)
{
	for (; s.n > 0; s = span_from(s, 1)) {
		char two[2] = {'\001', 0};

		for (size_t i = 0; i < ARRAY_LEN(escapes); i++)
			if (escapes[i].octet == s.p[0])
				two[1] = escapes[i].letter;
		if ((two[1] ? buf_add(out, (struct span){two, 2}) : buf_addc(out, s.p[0])) ==
		    -1)
			return -1;
	}
	return 0;
}

static char
unescaped(char letter)
{
	for (size_t i = 0; i < ARRAY_LEN(escapes); i++)
		if (escapes[i].letter == letter)
			return escapes[i].octet;
	return letter;
}

static int
add_unescaped(struct buf *out, struct span s)
{
	while (s.n > 0) {
		bool two = s.p[0] == '\001' && s.n > 1;

		if (buf_addc(out, two ? unescaped(s.p[1]) : s.p[0]) == -1)
			return -1;
		s = span_from(s, two ? 2 : 1);
	}
	return 0;
}

/* ---- one line -------------------------------------------------------------------- */

static char *
copy(struct span s)
{
	char *p = malloc(s.n + 1);

	if (p != NULL) {
		if (s.n > 0)
			memcpy(p, s.p, s.n);
		p[s.n] = '\0';
	}
	return p;
}

/* The name that a line stands for, into `name`. */
static int
line_to_name(const struct subscriptions *s, struct span line, struct buf *name,
	     bool *opaque)
{
	char sep = s->version == 2 ? '\t' : s->sep;
	struct span level;
	bool first = true;

	for (; sep != 0 && span_cut(&line, sep, &level); first = false) {
		size_t at = name->n + !first;

		if ((!first && buf_addc(name, '/') == -1) ||
		    (s->version == 2 ? add_unescaped : buf_add)(name, level) == -1)
			return -1;
		for (; at < name->n; at++)
			*opaque |= name->p[at] == '/' || name->p[at] == '\0';
	}
	return sep == 0 ? buf_add(name, line) : 0;
}

/* The line that stands for a name, into `line`. */
static int
name_to_line(const struct subscriptions *s, struct span name, struct buf *line)
{
	struct span level;
	bool first = true;

	if (name.n == 0 || name.p[0] == '/' || name.p[name.n - 1] == '/')
		goto invalid;
	for (; span_cut(&name, '/', &level); first = false) {
		if (level.n == 0 || memchr(level.p, '\0', level.n) != NULL ||
		    memchr(level.p, '\n', level.n) != NULL ||
		    memchr(level.p, '\r', level.n) != NULL)
			goto invalid;
		if (s->version != 2 && s->sep != 0 && memchr(level.p, s->sep, level.n) != NULL)
			goto invalid;
		if (!first && buf_addc(line, s->version == 2 ? '\t'
					     : s->sep != 0   ? s->sep
							     : '/') == -1)
			return -1;
		if ((s->version == 2 ? add_escaped(line, level) : buf_add(line, level)) == -1)
			return -1;
	}
	return 0;
invalid:
	errno = EINVAL;
	return -1;
}

/* ---- the list -------------------------------------------------------------------- */

static int
append(struct subscriptions *s, struct span name, struct span line, bool opaque)
{
	struct subscription *one;

	if (s->n == SUBSCRIPTIONS_MAX) {
		errno = EMSGSIZE;
		return -1;
	}
	if (GROW(s->list, s->n, s->cap) == -1)
		return -1;
	one = &s->list[s->n];
	*one = (struct subscription){copy(name), copy(line), opaque};
	if (one->name == NULL || one->line == NULL) {
		free(one->name);
		free(one->line);
		return -1;
	}
	s->n++;
	return 0;
}

/* Which lines were met, so that a file of any length is read in linear time. */
struct met {
	struct hash_key key; /* users write the file */
	uint32_t *slot; /* owned; index into the list + 1; 0: free */
	size_t nslot;
};

static uint32_t *
slot_of(struct met *m, const struct subscriptions *s, struct span line)
{
	size_t i = hash64(&m->key, line) % m->nslot;

	while (m->slot[i] != 0 && !span_eq(span_of(s->list[m->slot[i] - 1].line), line))
		i = (i + 1) % m->nslot;
	return &m->slot[i];
}

static int
take(struct subscriptions *s, struct met *m, struct span line)
{
	struct buf name = {0};
	bool opaque = false;
	uint32_t *slot;
	int rc;

	/* a NUL has no place in a line, and nothing of ours could carry it */
	if (line.n == 0 || memchr(line.p, '\0', line.n) != NULL ||
	    *(slot = slot_of(m, s, line)) != 0)
		return 0;
	rc = line_to_name(s, line, &name, &opaque);
	if (rc == 0)
		rc = append(s, buf_span(&name), line, opaque);
	if (rc == 0)
		*slot = (uint32_t)s->n;
	buf_free(&name);
	return rc;
}

static int
take_lines(struct subscriptions *s, struct span text)
{
	struct met m = {.nslot = 2};
	struct span line;
	int rc = 0;

	for (size_t i = 0; i < text.n && m.nslot < 2 * SUBSCRIPTIONS_MAX; i++)
		m.nslot += text.p[i] == '\n' ? 2 : 0;
	m.nslot += 2; /* never full: there is one line more than line ends */
	if ((m.slot = calloc(m.nslot, sizeof *m.slot)) == NULL)
		return -1;
	hash_random(&m.key);
	while (rc == 0 && span_cut(&text, '\n', &line))
		rc = take(s, &m, line);
	free(m.slot);
	return rc;
}

int
subscriptions_parse(struct span text, char sep, struct subscriptions *s)
{
	int saved;

	s->sep = sep;
	s->version = 1;
	if (span_starts(text, SPAN(VERSION_2))) {
		s->version = 2;
		text = span_from(text, strlen(VERSION_2));
	} else if (span_starts(text, SPAN(VERSION))) {
		errno = EINVAL; /* newer than we are: rewriting would lose things */
		return -1;
	}
	if (take_lines(s, text) == 0)
		return 0;
	saved = errno;
	subscriptions_free(s);
	errno = saved;
	return -1;
}

int
subscriptions_print(const struct subscriptions *s, struct buf *out)
{
	/* a first name that looks like a version's line is kept apart by an empty one */
	bool apart = s->version != 2 && s->n > 0 &&
		     span_starts(span_of(s->list[0].line), SPAN(VERSION));

	if (s->version == 2 && buf_add(out, SPAN(VERSION_2)) == -1)
		return -1;
	if (apart && buf_addc(out, '\n') == -1)
		return -1;
	for (size_t i = 0; i < s->n; i++)
		if (buf_add(out, span_of(s->list[i].line)) == -1 || buf_addc(out, '\n') == -1)
			return -1;
	return 0;
}

void
subscriptions_free(struct subscriptions *s)
{
	for (size_t i = 0; i < s->n; i++) {
		free(s->list[i].name);
		free(s->list[i].line);
	}
	free(s->list);
	*s = (struct subscriptions){0};
}

/* ---- by name --------------------------------------------------------------------- */

static bool
is_name(const struct subscription *one, struct span name)
{
	return !one->opaque && span_eq(span_of(one->name), name);
}

bool
subscriptions_has(const struct subscriptions *s, struct span name)
{
	for (size_t i = 0; i < s->n; i++)
		if (is_name(&s->list[i], name))
			return true;
	return false;
}

int
subscriptions_add(struct subscriptions *s, struct span name)
{
	struct buf line = {0};
	int rc;

	rc = name_to_line(s, name, &line);
	if (rc == 0 && !subscriptions_has(s, name))
		rc = append(s, name, buf_span(&line), false) == 0 ? 1 : -1;
	buf_free(&line);
	return rc;
}

int
subscriptions_remove(struct subscriptions *s, struct span name)
{
	struct buf line = {0};
	int rc = name_to_line(s, name, &line);
	size_t kept = 0;

	buf_free(&line);
	if (rc == -1)
		return -1;
	for (size_t i = 0; i < s->n; i++)
		if (is_name(&s->list[i], name)) {
			free(s->list[i].name);
			free(s->list[i].line);
		} else
			s->list[kept++] = s->list[i];
	rc = kept < s->n;
	s->n = kept;
	return rc;
}
