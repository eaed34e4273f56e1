/*
 * mbox_spool: an INBOX in a directory that is not the user's. Who may write there is its
 * group; a daemon of root's takes that on where the user's own rights do not suffice, and
 * only to make or remove a name of its own.
 */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "storage/mbox.h"

static bool
is_elsewhere(const struct mbox *m)
{
	return m->box->store->inbox != NULL && strcmp(m->box->path, "INBOX") == 0;
}

/*
 * The one that the settings name; else the directory's own, when it is root's and that group
 * may write. A directory of the user's is his own matter.
 */
static bool
find_group(const struct mbox *m, gid_t *gid)
{
	const struct store *s = m->box->store;
	struct stat st;

	if (!s->inbox_spool || s->readonly || !is_elsewhere(m) ||
	    fstat(m->dir, &st) == -1 || st.st_uid != 0)
		return false;
	*gid = mboxconf.privileged_group;
	if (*gid != (gid_t)-1)
		return true;
	*gid = st.st_gid;
	return st.st_gid != 0 && (st.st_mode & S_IWGRP);
}

bool
mbox_spool_enter(const struct mbox *m)
{
	gid_t gid;

	return find_group(m, &gid) && cred_group_enter(m->box->store, gid);
}

void
mbox_spool_leave(const struct mbox *m)
{
	cred_group_leave(m->box->store);
}

bool
mbox_spool_may_make(const struct mbox *m)
{
	bool yes;

	if (!mbox_spool_enter(m))
		return false;
	yes = faccessat(m->dir, ".", W_OK | X_OK, AT_EACCESS) == 0;
	mbox_spool_leave(m);
	return yes;
}

/* What lies in the admin's directory under a user's name may still be somebody else's. */
uid_t
mbox_spool_owner(const struct mbox *m)
{
	const struct store *s = m->box->store;

	return s->has_cred && is_elsewhere(m) ? s->cred.uid : (uid_t)-1;
}
