#include "tests/unit/support/maildirbox.h"

#include <errno.h>
#include <fcntl.h>
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

static void
on_wake(void *arg, uint32_t number)
{
	(void)number;
	((struct maildirbox *)arg)->woken++;
}

void
maildirbox_open(struct maildirbox *m)
{
	char index[96], mail[96];
	struct box *top;

	snprintf(index, sizeof index, "%s/index", m->scratch);
	snprintf(mail, sizeof mail, "maildir:%s/mail", m->scratch);
	must(env_open(&(struct env_conf){.index_path = index,
					      .wake = on_wake,
					      .arg = m,
					      .quick_end = true},
			  &m->env),
	     "env_open");
	must(store_open(m->env, &(struct store_conf){.name = "test", .location = mail, .rootfd = -1},
			&m->store),
	     "store_open");
	must(store_top(m->store, &top), "store_top");
	must(box_child(top, "INBOX", &m->inbox), "INBOX");
	box_unref(top);
	must(box_refresh(m->inbox), "refresh");
}

void
maildirbox_close(struct maildirbox *m)
{
	box_unref(m->inbox);
	store_close(m->store);
	env_close(m->env);
}

void
maildirbox_make(struct maildirbox *m)
{
	int dir = scratch_make(m->scratch);

	must(mkdirat(dir, "mail", 0700), "mkdir");
	m->top = openat(dir, "mail", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	must(m->top, "open");
	must(mkdirat(m->top, "new", 0700), "mkdir");
	must(mkdirat(m->top, "cur", 0700), "mkdir");
	must(mkdirat(m->top, "tmp", 0700), "mkdir");
	close(dir);
	maildirbox_open(m);
}

void
maildirbox_remove(struct maildirbox *m)
{
	maildirbox_close(m);
	close(m->top);
	scratch_remove(m->scratch);
}

void
maildirbox_drop(struct maildirbox *m, const char *name, struct span octets)
{
	char tmp[128], new[128];
	int fd;

	snprintf(tmp, sizeof tmp, "tmp/%s", name);
	snprintf(new, sizeof new, "new/%s", name);
	fd = openat(m->top, tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	must(fd, tmp);
	must(io_write_all(fd, octets), "write");
	close(fd);
	must(renameat(m->top, tmp, m->top, new), new);
}

uint32_t
maildirbox_deliver(struct box *b, struct span octets)
{
	struct delivery d = {.date = INT64_MIN};
	uint32_t uid;

	must(stage_open(b, &d.stage), "stage_open");
	must(stage_write(d.stage, octets.p, octets.n, 0), "stage_write");
	must(stage_flush(d.stage, true), "stage_flush");
	must(box_deliver(b, &d, 1, &uid), "box_deliver");
	return uid;
}
