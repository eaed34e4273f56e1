#include "protocol/server/auth/talks.h"

#include "protocol/server/clock.h"

struct talk *
talks_find(struct talks *t, uint64_t id)
{
	for (size_t i = 0; i < AUTHD_DIALOGS_MAX; i++)
		if (t->row[i].id == id && !t->row[i].dead)
			return &t->row[i];
	return NULL;
}

struct talk *
talks_add(struct talks *t, uint64_t id, uint32_t login)
{
	struct talk *oldest = NULL, *d = talks_find(t, id);

	if (d != NULL)
		talks_kill(t, d);
	for (d = t->row; d < t->row + AUTHD_DIALOGS_MAX && d->id != 0; d++)
		if (!d->dead && (oldest == NULL || d->begun < oldest->begun))
			oldest = d;
	if (d == t->row + AUTHD_DIALOGS_MAX) {
		if (oldest == NULL)
			return NULL;
		talks_kill(t, oldest);
		if (oldest->id != 0)
			return NULL; /* there will be room in a moment */
		d = oldest;
	}
	*d = (struct talk){.id = id, .login = login, .begun = clock_ms(), .worker = -1};
	return d;
}

void
talks_give(struct talks *t, struct talk *d, size_t worker)
{
	d->worker = (int)worker;
	t->of[worker].n++;
}

void
talks_kill(struct talks *t, struct talk *d)
{
	if (d->worker == -1) {
		*d = (struct talk){0};
		return;
	}
	d->dead = true;
	t->of[d->worker].ndead++;
}

static void
free_row(struct talks *t, struct talk *d)
{
	if (d->worker != -1)
		t->of[d->worker].n--;
	*d = (struct talk){0};
}

void
talks_end(struct talks *t, uint64_t id)
{
	struct talk *d = id != 0 ? talks_find(t, id) : NULL;

	if (d != NULL)
		free_row(t, d);
}

void
talks_kill_old(struct talks *t, int64_t now)
{
	for (struct talk *d = t->row; d < t->row + AUTHD_DIALOGS_MAX; d++)
		if (d->id != 0 && !d->dead && now - d->begun >= AUTHD_DIALOG_MS)
			talks_kill(t, d);
}

void
talks_kill_login(struct talks *t, uint32_t login)
{
	for (struct talk *d = t->row; d < t->row + AUTHD_DIALOGS_MAX; d++)
		if (d->id != 0 && !d->dead && d->login == login)
			talks_kill(t, d);
}

struct talk *
talks_dead(struct talks *t, size_t worker)
{
	if (t->of[worker].ndead == 0)
		return NULL;
	for (struct talk *d = t->row; d < t->row + AUTHD_DIALOGS_MAX; d++)
		if (d->id != 0 && d->dead && d->worker == (int)worker)
			return d;
	return NULL;
}

void
talks_told(struct talks *t, struct talk *d)
{
	t->of[d->worker].ndead--;
	free_row(t, d);
}

void
talks_forget(struct talks *t, size_t worker)
{
	for (struct talk *d = t->row; d < t->row + AUTHD_DIALOGS_MAX; d++)
		if (d->id != 0 && d->worker == (int)worker)
			*d = (struct talk){0};
	t->of[worker].n = t->of[worker].ndead = 0;
}

unsigned
talks_count(const struct talks *t, size_t worker)
{
	return t->of[worker].n;
}

int64_t
talks_due(const struct talks *t)
{
	int64_t due = INT64_MAX;

	for (const struct talk *d = t->row; d < t->row + AUTHD_DIALOGS_MAX; d++)
		if (d->id != 0 && !d->dead && d->begun + AUTHD_DIALOG_MS < due)
			due = d->begun + AUTHD_DIALOG_MS;
	return due;
}
