/*
 * refresh: noticing what somebody else did to the store. On demand (a lookup, an
 * opened directory), and without being asked for what is watched.
 */
#include "storage/refresh.h"

#include <errno.h>
#include <stdatomic.h>

#include "storage/base/log.h"
#include "storage/box_private.h"
#include "storage/tree.h"

int
refresh_locked(struct box *b, bool doubt)
{
	struct store *s = b->store;
	int rc = 0;

	if (b->kind != BOX_MAIL)
		return 0;
	if (b->dead) {
		errno = ESTALE;
		return -1;
	}
	if (!box_open_locked(b))
		return -1;
	if (b->loaded && !doubt && !b->in->stale && !s->driver->changed(b))
		return 0;
	b->in->stale = false; /* before the scan: what happens during it makes it stale again */
	cred_enter(s);
	rc = s->driver->sync(b, doubt);
	cred_leave(s);
	if (rc == 0)
		b->loaded = true;
	else
		b->in->stale = true;
	return rc;
}

int
box_refresh(struct box *b)
{
	int rc, saved;

	pthread_mutex_lock(&b->io);
	rc = refresh_locked(b, false);
	saved = errno;
	pthread_mutex_unlock(&b->io);
	if (b->dead) {
		tree_drop(b);
		errno = ESTALE;
		return -1;
	}
	errno = saved;
	return rc;
}

static void
run_refresh(void *arg)
{
	struct box *b = arg;

	b->in->refresh_queued = false; /* first: a change during the scan queues another */
	if (box_refresh(b) == -1 && errno != ESTALE)
		log_error("%s: %s: cannot take changes in: %m", b->store->name, b->path);
	box_unref(b);
}

void
refresh_soon(struct box *b)
{
	bool queued = false;

	b->in->stale = true;
	if (!atomic_compare_exchange_strong(&b->in->refresh_queued, &queued, true))
		return;
	box_ref(b);
	if (pool_submit(b->store->env->pool, run_refresh, b) == -1) {
		b->in->refresh_queued = false;
		box_unref(b); /* never the last one: the caller has its own */
	}
}

/* ---- watching ----------------------------------------------------------------------- */

/* watch_lock held */
static void
start_watching(struct box *b, const int *fds, size_t n)
{
	struct box_private *in = b->in;

	for (size_t i = 0; i < n; i++) {
		int64_t id = watch_add(b->store->env->watch, fds[i], b->number);

		if (id == -1)
			log_warn("%s: %s: cannot watch for outside changes: %m", b->store->name,
				 b->path);
		else
			in->watch_id[in->nwatch++] = id;
	}
}

int
box_watch(struct box *b)
{
	int fds[4], rc = 0, saved;
	bool undo = false;

	pthread_mutex_lock(&b->io);
	pthread_mutex_lock(&b->in->watch_lock);
	if (b->in->watched++ == 0 && b->kind == BOX_MAIL) {
		if (box_open_locked(b))
			start_watching(b, fds, b->store->driver->watch_dirs(b, fds));
		else {
			b->in->watched--;
			rc = -1;
		}
	}
	pthread_mutex_unlock(&b->in->watch_lock);
	if (rc == 0 && (rc = refresh_locked(b, false)) == -1) /* before the watch stood */
		undo = true;
	saved = errno;
	pthread_mutex_unlock(&b->io);
	if (undo)
		box_unwatch(b);
	errno = saved;
	return rc;
}

void
box_unwatch(struct box *b)
{
	struct box_private *in = b->in;
	int64_t id[4];
	size_t n = 0;

	pthread_mutex_lock(&in->watch_lock);
	if (--in->watched == 0) {
		while (n < in->nwatch) {
			id[n] = in->watch_id[n];
			n++;
		}
		in->nwatch = 0;
	}
	pthread_mutex_unlock(&in->watch_lock);
	while (n > 0) /* waits for a running callback, so without the lock */
		watch_del(b->store->env->watch, id[--n]);
}
