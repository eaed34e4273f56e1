/*
 * cred: the calling thread's file system ids. Raw system calls, because libc's
 * setgroups would change every thread. With fsuid other than 0 the kernel takes the
 * file capabilities of the thread away, and gives them back with fsuid 0.
 */
#include <sys/fsuid.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "storage/base/log.h"
#include "storage/box.h"

static _Thread_local unsigned depth;

static void
become(uid_t uid, gid_t gid, size_t ngroup, const gid_t *groups)
{
	if (syscall(SYS_setgroups, ngroup, groups) == -1)
		log_error("cannot set the groups of uid %u: nothing of it is accessed", uid);
	setfsgid(gid);
	setfsuid(uid);
	/* both have no error return: asking for the impossible tells the present one */
	if ((uid_t)setfsuid((uid_t)-1) != uid || (gid_t)setfsgid((gid_t)-1) != gid) {
		log_error("cannot take on uid %u gid %u: giving up", uid, gid);
		_exit(70); /* going on would read one user's mail with another's rights */
	}
}

void
cred_enter(const struct store *s)
{
	if (!s->has_cred)
		return;
	if (depth++ == 0)
		become(s->cred.uid, s->cred.gid, s->cred.ngroup, s->cred.groups);
}

void
cred_leave(const struct store *s)
{
	if (!s->has_cred)
		return;
	if (--depth == 0) {
		setfsuid(geteuid()); /* first: it gives the right to change the others back */
		become(geteuid(), getegid(), 0, NULL);
	}
}

unsigned
cred_suspend(const struct store *s)
{
	unsigned was = depth;

	if (was > 0) {
		depth = 1;
		cred_leave(s);
	}
	return was;
}

void
cred_resume(const struct store *s, unsigned was)
{
	if (was > 0) {
		cred_enter(s);
		depth = was;
	}
}

/* The user's own groups stay; only what the group of the file system ids adds changes. */
bool
cred_group_enter(const struct store *s, gid_t gid)
{
	if (!s->has_cred || depth == 0)
		return false;
	setfsgid(gid);
	if ((gid_t)setfsgid((gid_t)-1) == gid)
		return true;
	cred_group_leave(s);
	return false;
}

void
cred_group_leave(const struct store *s)
{
	setfsgid(s->cred.gid);
	if ((gid_t)setfsgid((gid_t)-1) == s->cred.gid)
		return;
	log_error("cannot give up a group of uid %u's spool: giving up", s->cred.uid);
	_exit(70); /* going on would lend its rights to a user */
}
