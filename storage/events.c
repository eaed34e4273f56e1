/*
 * events: what happened to a mailbox, in order, for everyone who follows it, and the
 * holds: an expunged message stays readable until each holding cursor has read of it.
 * Everything here is guarded by box->lock for writing; cursors are opened under box->io
 * too, so that a driver in the middle of an expunge knows whether somebody holds.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "storage/base/log.h"
#include "storage/box_private.h"
#include "storage/grow.h"

struct cursor {
	struct box *box; /* reference */
	struct cursor *next;
	uint64_t at; /* serial of the next event to be read */
	bool hold;
	bool reset; /* the box died: said once more, whatever else was missed */
};

#define EVENTS_FEW 64 /* as many are kept even when everyone has read them */

/* ---- adding -------------------------------------------------------------------------- */

static uint64_t
next_serial(const struct box_private *in)
{
	return in->event_base + in->nevent;
}

/* Serial up to which every cursor (every holding one) has read. */
static uint64_t
read_by_all(const struct box_private *in, bool holding_only)
{
	uint64_t least = next_serial(in);

	for (const struct cursor *c = in->cursors; c != NULL; c = c->next)
		if ((c->hold || !holding_only) && c->at < least)
			least = c->at;
	return least;
}

static void
drop_events(struct box_private *in, uint64_t before)
{
	size_t n = before > in->event_base ? (size_t)(before - in->event_base) : 0;

	/* moving what is left costs its length: wait until it is the smaller part */
	if (n == 0 || (n < in->nevent && n < in->nevent / 2 + 1))
		return;
	memmove(in->event, in->event + n, (in->nevent - n) * sizeof *in->event);
	in->nevent -= n;
	in->event_base += n;
}

/*
 * Who stood at `was` has read on. To look at every cursor is worth it only when he may have
 * been the last of them, and there is something to be dropped: where hundreds follow one
 * mailbox, each of them comes by here.
 */
static void
forget_read(struct box_private *in, uint64_t was)
{
	if (in->nevent >= EVENTS_FEW && was <= in->event_base + in->nevent / 2)
		drop_events(in, read_by_all(in, false));
}

void
events_add(struct box *b, enum mt_event_type type, uint32_t row)
{
	struct box_private *in = b->in;
	struct mt_event *e;

	if (in->cursors == NULL) {
		in->event_base++; /* nobody to tell; the serial rises all the same */
		return;
	}
	if (in->nevent >= EVENTS_MAX)
		drop_events(in, in->event_base + EVENTS_MAX / 2 + 1);
	if (GROW(in->event, in->nevent, in->event_cap) == -1) {
		in->event_base += in->nevent + 1; /* everyone gets OVERFLOW */
		in->nevent = 0;
		return;
	}
	e = &in->event[in->nevent];
	*e = (struct mt_event){.type = (uint16_t)type, .row = row, .serial = next_serial(in)};
	if (type != MT_EV_HEADER && type != MT_EV_RESET)
		e->rec = b->rec[row];
	in->nevent++;
}

/* ---- holds ------------------------------------------------------------------------------ */

bool
events_anyone_holds(struct box *b)
{
	bool any = false;

	pthread_rwlock_rdlock(&b->lock);
	for (const struct cursor *c = b->in->cursors; c != NULL; c = c->next)
		any |= c->hold;
	pthread_rwlock_unlock(&b->lock);
	return any;
}

void
events_hold(struct box *b, uint32_t row)
{
	struct box_private *in = b->in;

	/* the event of this expunge is the last one added */
	if (GROW(in->held, in->nheld, in->held_cap) == -1)
		log_error("%s: %s: no memory to hold UID %u: its file stays in tmp/",
			  b->store->name, b->path, b->rec[row].uid);
	else
		in->held[in->nheld++] =
		    (struct held){.row = row, .serial = next_serial(in) - 1};
}

struct release {
	struct box *box; /* reference */
	uint32_t row;
};

static void
release_row(struct release *r)
{
	struct box *b = r->box;

	pthread_mutex_lock(&b->io);
	if (b->open) {
		cred_enter(b->store);
		b->store->driver->unhold(b, r->row);
		cred_leave(b->store);
	}
	pthread_mutex_unlock(&b->io);
	box_unref(b);
	free(r);
}

static void
run_release(void *arg)
{
	release_row(arg);
}

/* lock held: let go of what every holding cursor has read of. */
static void
release_read(struct box *b)
{
	struct box_private *in = b->in;
	uint64_t safe = read_by_all(in, true);
	size_t kept = 0;

	for (size_t i = 0; i < in->nheld; i++) {
		struct held h = in->held[i];
		struct release *r;

		if (h.serial >= safe || (r = malloc(sizeof *r)) == NULL) {
			in->held[kept++] = h;
			continue;
		}
		*r = (struct release){b, h.row};
		box_ref(b);
		b->rec[h.row].bits |= MT_LOST;
		indexfile_seal_record(&b->rec[h.row]);
		if (pool_submit(b->store->env->pool, run_release, r) == -1) {
			box_unref(b); /* never the last one: the cursor has its own */
			free(r);
		}
	}
	in->nheld = kept;
}

void
events_free(struct box *b)
{
	free(b->in->event);
	free(b->in->held);
}

/* ---- cursors -------------------------------------------------------------------------------- */

int
cursor_open(struct box *b, bool hold, struct cursor **out)
{
	struct cursor *c = calloc(1, sizeof *c);

	if (c == NULL)
		return -1;
	pthread_mutex_lock(&b->io);
	pthread_rwlock_wrlock(&b->lock);
	c->box = b;
	box_ref(b);
	c->hold = hold;
	c->at = next_serial(b->in);
	c->reset = b->dead;
	c->next = b->in->cursors;
	b->in->cursors = c;
	pthread_rwlock_unlock(&b->lock);
	pthread_mutex_unlock(&b->io);
	*out = c;
	return 0;
}

/* lock held for writing */
static size_t
take(struct cursor *c, struct mt_event *out, size_t most)
{
	struct box_private *in = c->box->in;
	size_t n;

	if (most == 0)
		return 0;
	if (c->at < in->event_base) {
		c->at = next_serial(in);
		*out = (struct mt_event){.type = c->box->dead ? MT_EV_RESET : MT_EV_OVERFLOW,
					 .serial = c->at == 0 ? 0 : c->at - 1};
		return 1;
	}
	n = (size_t)(next_serial(in) - c->at);
	if (n > most)
		n = most;
	if (n > 0)
		memcpy(out, in->event + (c->at - in->event_base), n * sizeof *out);
	c->at += n;
	if (n == 0 && c->reset) {
		c->reset = false;
		*out = (struct mt_event){.type = MT_EV_RESET, .serial = c->at};
		return 1;
	}
	return n;
}

size_t
cursor_read(struct cursor *c, struct mt_event *out, size_t most)
{
	struct box *b = c->box;
	uint64_t was;
	size_t n;

	pthread_rwlock_wrlock(&b->lock);
	was = c->at;
	n = take(c, out, most);
	if (n > 0) {
		forget_read(b->in, was);
		if (c->hold && b->in->nheld > 0)
			release_read(b);
	}
	pthread_rwlock_unlock(&b->lock);
	return n;
}

bool
cursor_ready(struct cursor *c)
{
	bool ready;

	pthread_rwlock_rdlock(&c->box->lock);
	ready = c->reset || c->at < next_serial(c->box->in);
	pthread_rwlock_unlock(&c->box->lock);
	return ready;
}

void
cursor_close(struct cursor *c)
{
	struct box *b;
	struct cursor **at;

	if (c == NULL)
		return;
	b = c->box;
	pthread_rwlock_wrlock(&b->lock);
	for (at = &b->in->cursors; *at != c; at = &(*at)->next)
		;
	*at = c->next;
	if (b->in->nheld > 0)
		release_read(b);
	if (b->in->cursors == NULL) {
		b->in->event_base += b->in->nevent;
		b->in->nevent = 0;
	} else
		drop_events(b->in, read_by_all(b->in, false));
	pthread_rwlock_unlock(&b->lock);
	free(c);
	box_unref(b);
}
