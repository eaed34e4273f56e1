#include "storage/mboxconf.h"

#include <errno.h>
#include <grp.h>
#include <stddef.h>

#include "storage/base/num.h"

/* Dovecot waits five minutes; whoever waits here is a request of the kernel's. */
struct mboxconf mboxconf = {
    .read = {MBOX_LOCK_FCNTL},
    .write = {MBOX_LOCK_DOTLOCK, MBOX_LOCK_FCNTL},
    .lock_timeout_s = 30,
    .dotlock_change_s = 120,
    .dirty_syncs = true,
    .privileged_group = (gid_t)-1,
};

/* ---- values ------------------------------------------------------------------------------ */

static const char *
parse_locks(struct span s, void *to)
{
	static const struct {
		struct span name;
		enum mbox_lock_kind kind;
		unsigned bit; /* of the same lock under another name */
	} words[] = {
	    {{"dotlock", 7}, MBOX_LOCK_DOTLOCK, 1},
	    {{"dotlock_try", 11}, MBOX_LOCK_DOTLOCK_TRY, 1},
	    {{"fcntl", 5}, MBOX_LOCK_FCNTL, 2},
	    {{"flock", 5}, MBOX_LOCK_FLOCK, 4},
	    {{"lockf", 5}, MBOX_LOCK_LOCKF, 2},
	};
	enum mbox_lock_kind kinds[MBOXCONF_NLOCK] = {MBOX_LOCK_NONE};
	unsigned seen = 0, n = 0;
	struct span word;
	size_t i;

	while (span_word(&s, &word)) {
		for (i = 0; i < ARRAY_LEN(words) && !span_eq(word, words[i].name); i++)
			;
		if (i == ARRAY_LEN(words))
			return "the locks are dotlock, dotlock_try, fcntl, flock and "
			       "lockf";
		if (seen & words[i].bit)
			return "the same lock twice (lockf is the lock that fcntl is)";
		seen |= words[i].bit;
		kinds[n++] = words[i].kind;
	}
	if (n == 0)
		return "at least one lock: else mail is lost";
	memcpy(to, kinds, sizeof kinds);
	return NULL;
}

/* Digits and a unit: the first of `units` that fits. */
static bool
parse_amount(struct span s, const char *const *units, const uint32_t *factor, size_t n,
             uint64_t *out)
{
	size_t d = 0;
	uint32_t v;

	while (d < s.n && s.p[d] >= '0' && s.p[d] <= '9')
		d++;
	if (num_u32((struct span){s.p, d}, &v) == -1)
		return false;
	s = span_trim(span_from(s, d));
	for (size_t i = 0; i < n; i++)
		if (span_caseeq(s, span_of(units[i]))) {
			*out = (uint64_t)v * factor[i];
			return true;
		}
	return false;
}

static const char *
parse_time(struct span s, void *to)
{
	static const char *const units[] = {"",        "s", "sec",  "secs", "second",
	                                    "seconds", "m", "min",  "mins", "minute",
	                                    "minutes", "h", "hour", "hours"};
	static const uint32_t factor[] = {1,  1,  1,  1,  1,    1,    60,
	                                  60, 60, 60, 60, 3600, 3600, 3600};
	uint64_t v;

	if (!parse_amount(s, units, factor, ARRAY_LEN(units), &v))
		return "the value must be a time such as `30 secs` or `5 mins`";
	if (v == 0 || v > 86400)
		return "the value must be a time from 1 second to a day";
	*(unsigned *)to = (unsigned)v;
	return NULL;
}

static const char *
parse_size(struct span s, void *to)
{
	static const char *const units[] = {"", "b", "k", "kb", "m", "mb", "g", "gb"};
	static const uint32_t factor[] = {1,       1,       1 << 10, 1 << 10,
	                                  1 << 20, 1 << 20, 1 << 30, 1 << 30};

	if (!parse_amount(s, units, factor, ARRAY_LEN(units), to))
		return "the value must be a size such as `100k` or `1M`";
	return NULL;
}

static const char *
parse_bool(struct span s, void *to)
{
	if (span_caseeq(s, SPAN("yes")) || span_caseeq(s, SPAN("no"))) {
		*(bool *)to = span_caseeq(s, SPAN("yes"));
		return NULL;
	}
	return "the value must be yes or no";
}

static const char *
parse_group(struct span s, void *to)
{
	char name[64];
	struct group *g;
	uint32_t gid;

	if (s.n == 0)
		gid = (uint32_t)-1;
	else if (num_u32(s, &gid) == -1) {
		if (span_cstr(s, name, sizeof name) == -1 ||
		    (g = getgrnam(name)) == NULL)
			return "there is no such group";
		gid = g->gr_gid;
	} else if (gid == (uint32_t)-1)
		return "there is no such group";
	*(gid_t *)to = gid;
	return NULL;
}

/* ---- the table --------------------------------------------------------------------------- */

#define AT(field) offsetof(struct mboxconf, field)

static const struct {
	const char *name;
	const char *(*parse)(struct span, void *);
	size_t at;
} rows[] = {
    {"mail_privileged_group", parse_group, AT(privileged_group)},
    {"mbox_dirty_syncs", parse_bool, AT(dirty_syncs)},
    {"mbox_dotlock_change_timeout", parse_time, AT(dotlock_change_s)},
    {"mbox_lock_timeout", parse_time, AT(lock_timeout_s)},
    {"mbox_min_index_size", parse_size, AT(min_index_size)},
    {"mbox_read_locks", parse_locks, AT(read)},
    {"mbox_write_locks", parse_locks, AT(write)},
};

const char *
mboxconf_set(struct mboxconf *c, struct span name, struct span value)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (span_eq(name, span_of(rows[i].name)))
			return rows[i].parse(span_trim(value), (char *)c + rows[i].at);
	return "there is no such setting";
}
