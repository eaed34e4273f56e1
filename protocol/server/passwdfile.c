#include "protocol/server/passwdfile.h"

#include <errno.h>
#include <unistd.h>

#include "protocol/server/username.h"

/* The next colon-separated field; empty when the line has no more. */
static struct span
field(struct span *rest)
{
	struct span f = {rest->p, 0};

	span_cut(rest, ':', &f);
	return f;
}

bool
passwdfile_parse(struct span line, struct passwdfile_entry *e)
{
	*e = (struct passwdfile_entry){0};
	if (line.n == 0 || line.p[0] == '#' || memchr(line.p, '\0', line.n) != NULL)
		return false;
	e->user = field(&line);
	e->password = field(&line);
	e->uid = field(&line);
	e->gid = field(&line);
	field(&line); /* gecos */
	e->home = field(&line);
	field(&line); /* shell */
	e->extra = line;
	return username_valid(e->user);
}

bool
passwdfile_extra(const struct passwdfile_entry *e, struct span name, struct span *value)
{
	struct span rest = e->extra, word;

	while (span_word(&rest, &word)) {
		struct span key = word;

		span_cut(&word, '=', &key);
		if (span_eq(key, name)) {
			*value = word;
			return true;
		}
	}
	return false;
}

const char *
passwdfile_restriction(const struct passwdfile_entry *e)
{
	static const char *const names[] = {"allow_nets",    "allow_real_nets",
	                                    "nologin",       "proxy",
	                                    "proxy_maybe",   "host",
	                                    "reason",        "user",
	                                    "login_user",    "userdb_user",
	                                    "deny",          "chroot",
	                                    "userdb_chroot"};
	struct span value;

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (passwdfile_extra(e, span_of(names[i]), &value))
			return names[i];
	return NULL;
}

/* More octets into the room. 1, 0 at the end, -1 errno. */
static int
fill(struct passwdfile *f)
{
	ssize_t n;

	while ((n = read(f->fd, f->room, sizeof f->room)) == -1 && errno == EINTR)
		;
	if (n > 0)
		f->in = (struct span){f->room, (size_t)n};
	return n > 0 ? 1 : (int)n;
}

/* The next line that fits: 1, 0 at the end, -1 errno. A last line may lack its LF. */
static int
next_line(struct passwdfile *f, struct span *line)
{
	static const char lf = '\n';
	enum line_ev ev;
	int rc;

	for (;;) {
		if (f->in.n == 0) {
			if (f->ended || (rc = fill(f)) == -1)
				return f->ended ? 0 : -1;
			if (rc == 0) {
				f->ended = true;
				f->in = (struct span){&lf, 1};
			}
		}
		if ((ev = line_push(&f->line, &f->in)) == LINE_READY) {
			*line = line_text(&f->line);
			return 1;
		}
	}
}

int
passwdfile_next(struct passwdfile *f, struct passwdfile_entry *e)
{
	struct span line;
	int rc;

	if (f->line.buf == NULL)
		f->line = (struct line){.buf = f->text, .cap = sizeof f->text};
	while ((rc = next_line(f, &line)) == 1)
		if (passwdfile_parse(line, e))
			return 1;
	return rc;
}

int
passwdfile_find(struct passwdfile *f, struct span user, struct passwdfile_entry *e)
{
	int rc;

	while ((rc = passwdfile_next(f, e)) == 1)
		if (span_eq(e->user, user))
			return 1;
	return rc;
}

static int
add_entry(struct buf *out, struct span user, struct span hash, struct span after)
{
	if (buf_add(out, user) == -1 || buf_addc(out, ':') == -1 ||
	    buf_add(out, hash) == -1 || buf_add(out, after) == -1)
		return -1;
	return buf_addc(out, '\n');
}

/* What follows the password in a line, with its colon. */
static struct span
after_password(struct span line)
{
	struct span rest = line, f;

	span_cut(&rest, ':', &f); /* the user */
	if (!span_cut(&rest, ':', &f))
		return rest;
	return span_from(line, (size_t)(f.p + f.n - line.p));
}

int
passwdfile_set(struct span text, struct span user, struct span hash, struct buf *out)
{
	struct passwdfile_entry e;
	struct span line;
	bool done = false;

	while (span_cut(&text, '\n', &line)) {
		int rc;

		if (!done && passwdfile_parse(line, &e) && span_eq(e.user, user)) {
			rc = add_entry(out, user, hash, after_password(line));
			done = true;
		} else if ((rc = buf_add(out, line)) == 0) {
			rc = buf_addc(out, '\n');
		}
		if (rc == -1)
			return -1;
	}
	return done ? 0 : add_entry(out, user, hash, SPAN("::::::"));
}
