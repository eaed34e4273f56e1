#include "tests/unit/support/mboxbox.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "storage/base/io.h"
#include "tests/unit/support/check.h"

static void
must(int rc, const char *what)
{
	if (rc == -1)
		check_fail("%s: %s", what, strerror(errno));
}

bool
mboxbox_is_unfinished(const struct mboxbox *m)
{
	char pattern[96];
	glob_t found;
	int rc;

	snprintf(pattern, sizeof pattern, "%s/index/*/mbox-journal", m->scratch);
	if ((rc = glob(pattern, 0, NULL, &found)) == 0)
		globfree(&found);
	return rc != GLOB_NOMATCH;
}

void
mboxbox_open_store(struct mboxbox *m)
{
	char index[96], mail[96];
	struct box *top;

	snprintf(index, sizeof index, "%s/index", m->scratch);
	snprintf(mail, sizeof mail, "mbox:%s/mail", m->scratch);
	must(env_open(&(struct env_conf){.index_path = index, .quick_end = true},
	              &m->env),
	     "env_open");
	must(store_open(
	         m->env,
	         &(struct store_conf){.name = "test", .location = mail, .rootfd = -1},
	         &m->store),
	     "store_open");
	must(store_top(m->store, &top), "store_top");
	must(box_child(top, "INBOX", &m->inbox), "INBOX");
	box_unref(top);
}

void
mboxbox_open(struct mboxbox *m)
{
	mboxbox_open_store(m);
	/* that is enough for what another left half done, in any mailbox */
	check_true(!mboxbox_is_unfinished(m), "a journal is there after the opening");
	must(box_refresh(m->inbox), "refresh");
}

void
mboxbox_close(struct mboxbox *m)
{
	box_unref(m->inbox);
	store_close(m->store);
	env_close(m->env);
}

void
mboxbox_make(struct mboxbox *m, struct span inbox)
{
	int dir = scratch_make(m->scratch);

	must(mkdirat(dir, "mail", 0700), "mkdir");
	m->top = openat(dir, "mail", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	must(m->top, "open");
	close(dir);
	if (inbox.n > 0)
		mboxbox_put(m, "inbox", inbox);
	mboxbox_open(m);
}

void
mboxbox_remove(struct mboxbox *m)
{
	mboxbox_close(m);
	close(m->top);
	scratch_remove(m->scratch);
}

static void
write_file(struct mboxbox *m, const char *name, struct span octets, int flags)
{
	int fd = openat(m->top, name, O_WRONLY | O_CREAT | O_CLOEXEC | flags, 0600);

	must(fd, name);
	must(io_write_all(fd, octets), "write");
	close(fd);
}

void
mboxbox_put(struct mboxbox *m, const char *name, struct span octets)
{
	write_file(m, name, octets, O_TRUNC);
}

void
mboxbox_add(struct mboxbox *m, const char *name, struct span octets)
{
	write_file(m, name, octets, O_APPEND);
}

void
mboxbox_append(struct mboxbox *m, const char *name, struct span octets)
{
	struct flock all = {.l_type = F_WRLCK};
	int fd = openat(m->top, name, O_WRONLY | O_APPEND | O_CLOEXEC);

	must(fd, name);
	must(fcntl(fd, F_OFD_SETLKW, &all), "lock");
	must(io_write_all(fd, octets), "write");
	close(fd);
}

struct span
mboxbox_get(struct mboxbox *m, const char *name)
{
	static char text[1 << 20];
	int fd = openat(m->top, name, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	must(fd, name);
	n = io_pread_full(fd, text, sizeof text - 1, 0);
	must(n == -1 ? -1 : 0, name);
	close(fd);
	text[n] = '\0';
	return (struct span){text, (size_t)n};
}

uint32_t
mboxbox_deliver(struct box *b, struct span octets)
{
	struct delivery d = {.date = INT64_MIN};
	uint32_t uid = 0;

	must(stage_open(b, &d.stage), "stage_open");
	must(stage_write(d.stage, octets.p, octets.n, 0), "stage_write");
	must(stage_flush(d.stage, true), "stage_flush");
	must(box_deliver(b, &d, 1, &uid), "box_deliver");
	return uid;
}
