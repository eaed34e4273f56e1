#include "fs/options.h"

#include <err.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <unistd.h>

#include "storage/base/num.h"
#include "storage/store.h"

/* ---- the options: one table parses them and prints the help ---------------------------- */

static int set_mount_options(struct options *, const char *);

static int
set_foreground(struct options *o, const char *value)
{
	(void)value;
	o->foreground = true;
	return 0;
}

static int
set_index_path(struct options *o, const char *value)
{
	o->index_path = value;
	return 0;
}

/* For the whole process: there is nothing to be kept here. */
static int
set_mbox(struct options *o, const char *value)
{
	struct span rest = span_of(value), name;
	const char *why = "NAME=VALUE is what is asked for";

	(void)o;
	if (strchr(value, '=') != NULL && span_cut(&rest, '=', &name))
		why = store_set_mbox(span_trim(name), rest);
	if (why == NULL)
		return 0;
	warnx("--mbox \"%s\": %s", value, why);
	return -1;
}

static int
set_poll(struct options *o, const char *value)
{
	(void)value;
	o->no_inotify = true;
	return 0;
}

static int
parse_fd(const char *name, const char *value, int *fd)
{
	uint32_t n;

	if (num_u32(span_of(value), &n) == -1 || n > 65535 || fcntl((int)n, F_GETFD) == -1) {
		warnx("--%s %s: not an open descriptor", name, value);
		return -1;
	}
	*fd = (int)n;
	return fcntl(*fd, F_SETFD, FD_CLOEXEC);
}

static int
set_ready(struct options *o, const char *value)
{
	return parse_fd("ready", value, &o->ready_fd);
}

static int
set_syslog(struct options *o, const char *value)
{
	(void)value;
	o->syslog = true;
	return 0;
}

static int
set_users(struct options *o, const char *value)
{
	return parse_fd("users", value, &o->users_fd);
}

static int
set_check(struct options *o, const char *value)
{
	o->check = true;
	o->source = value;
	return 0;
}

static int
set_version(struct options *o, const char *value)
{
	(void)value;
	o->version = true;
	return 0;
}

static int
set_help(struct options *o, const char *value)
{
	(void)value;
	o->help = true;
	return 0;
}

static const struct row {
	const char *name; /* one letter: a short option */
	const char *arg;  /* what its argument is called; NULL: none */
	int (*set)(struct options *, const char *value);
	const char *help;
} rows[] = {
	{"f", NULL, set_foreground, "stay in the foreground"},
	{"o", "OPTIONS", set_mount_options, "ro,allow_other,xattr"},
	{"index-path", "DIR", set_index_path, "where the index lies"},
	{"mbox", "NAME=VALUE", set_mbox, "a setting of mboxes; see mailtreed(8)"},
	{"poll", NULL, set_poll, "never use inotify"},
	{"ready", "FD", set_ready, "write \"ready\" there once it is mounted"},
	{"syslog", NULL, set_syslog, "log to syslog"},
	{"users", "FD", set_users, "many users; asked for over this socket"},
	{"check", "SOURCE", set_check, "verify the store: a line per violation"},
	{"version", NULL, set_version, "print the version"},
	{"help", NULL, set_help, "print this"},
};

static const struct mount_option {
	struct span name;
	size_t flag; /* offset of a bool in struct options; SIZE_MAX: always so anyway */
} mount_options[] = {
	{{"ro", 2}, offsetof(struct options, readonly)},
	{{"rw", 2}, SIZE_MAX},
	{{"allow_other", 11}, offsetof(struct options, allow_other)},
	{{"xattr", 5}, offsetof(struct options, xattr)},
	{{"default_permissions", 19}, SIZE_MAX},
	{{"nosuid", 6}, SIZE_MAX},
	{{"nodev", 5}, SIZE_MAX},
	{{"noexec", 6}, SIZE_MAX},
};

static int
set_mount_option(struct options *o, struct span name)
{
	for (size_t i = 0; i < ARRAY_LEN(mount_options); i++)
		if (span_eq(name, mount_options[i].name)) {
			if (mount_options[i].flag != SIZE_MAX)
				*(bool *)((char *)o + mount_options[i].flag) = true;
			return 0;
		}
	warnx("-o %.*s: no such mount option (ro, allow_other, xattr)", (int)name.n, name.p);
	return -1;
}

static int
set_mount_options(struct options *o, const char *value)
{
	struct span rest = span_of(value), name;

	while (span_cut(&rest, ',', &name))
		if (name.n > 0 && set_mount_option(o, name) == -1)
			return -1;
	return 0;
}

void
options_print_help(void)
{
	puts("usage: mailtreed [options] SOURCE MOUNTPOINT\n"
	     "       mailtreed [options] --users FD MOUNTPOINT\n"
	     "       mailtreed --check SOURCE");
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char left[64];

		snprintf(left, sizeof left, "%s%s %s", rows[i].name[1] == '\0' ? "-" : "--",
			 rows[i].name, rows[i].arg == NULL ? "" : rows[i].arg);
		printf("  %-20s %s\n", left, rows[i].help);
	}
}

/* ---- parsing ------------------------------------------------------------------------------ */

static void
make_getopt(struct option longs[static ARRAY_LEN(rows) + 1],
	    char shorts[static 2 * ARRAY_LEN(rows) + 2])
{
	char *s = shorts;
	size_t n = 0;

	*s++ = '+';
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		if (rows[i].name[1] != '\0') {
			longs[n++] = (struct option){rows[i].name, rows[i].arg != NULL, NULL,
						     256 + (int)i};
			continue;
		}
		*s++ = rows[i].name[0];
		if (rows[i].arg != NULL)
			*s++ = ':';
	}
	*s = '\0';
	longs[n] = (struct option){0};
}

static const struct row *
row_of(int c)
{
	if (c >= 256)
		return &rows[c - 256];
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (rows[i].name[1] == '\0' && rows[i].name[0] == c)
			return &rows[i];
	return NULL;
}

static int
usage(const char *what)
{
	warnx("%s (mailtreed --help lists the options)", what);
	return -1;
}

static int
take_operands(struct options *o, int n, char **operand)
{
	int want = o->check || o->version || o->help ? 0 : o->users_fd != -1 ? 1 : 2;

	if (n != want)
		return usage(n < want ? "an operand is missing" : "too many operands");
	if (want == 2)
		o->source = operand[0];
	if (want > 0)
		o->mountpoint = operand[want - 1];
	if (o->allow_other && geteuid() != 0)
		return usage("-o allow_other: only when root mounts");
	return 0;
}

int
options_parse(int argc, char **argv, struct options *o)
{
	struct option longs[ARRAY_LEN(rows) + 1];
	char shorts[2 * ARRAY_LEN(rows) + 2];
	const struct row *r;
	int c;

	*o = (struct options){.users_fd = -1, .ready_fd = -1};
	make_getopt(longs, shorts);
	while ((c = getopt_long(argc, argv, shorts, longs, NULL)) != -1)
		if ((r = row_of(c)) == NULL || r->set(o, optarg) == -1)
			return -1;
	return take_operands(o, argc - optind, argv + optind);
}
