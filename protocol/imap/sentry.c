#include "protocol/imap/sentry.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define CALL_SIGNAL SIGUSR1 /* only interrupts read(2) */
#define STACK_SIZE  65536

static void
nothing(int sig)
{
	(void)sig;
}

static void
mask_call(int how)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, CALL_SIGNAL);
	pthread_sigmask(how, &set, NULL);
}

void
sentry_init(void)
{
	struct sigaction act = {.sa_handler = nothing}; /* no SA_RESTART */

	mask_call(SIG_BLOCK);
	sigaction(CALL_SIGNAL, &act, NULL);
}

static void
set_blocking(int fd, bool blocking)
{
	int flags = fcntl(fd, F_GETFL);

	(void)fcntl(fd, F_SETFL, blocking ? flags & ~O_NONBLOCK : flags | O_NONBLOCK);
}

/* ---- the thread ------------------------------------------------------------------------ */

/*
 * First no read blocks any more, then the one that does is interrupted: one that begins
 * in between ends by itself, so a single signal is enough.
 */
static void *
stand(void *sentry)
{
	struct sentry *s = sentry;
	struct pollfd p[2] = {{.fd = s->input, .events = POLLIN},
	                      {.fd = s->dismiss, .events = POLLIN}};

	while ((s->ready = poll(p, 2, s->timeout_ms)) == -1 && errno == EINTR)
		;
	if (s->ready > 0)
		s->ready = p[0].revents != 0;
	s->called = true;
	set_blocking(s->events, false);
	pthread_kill(s->session, CALL_SIGNAL);
	return NULL;
}

static int
start(struct sentry *s)
{
	pthread_attr_t attr;
	int err;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_SIZE);
	err = pthread_create(&s->thread, &attr, stand, s);
	pthread_attr_destroy(&attr);
	errno = err;
	return err == 0 ? 0 : -1;
}

/* ---- the session ----------------------------------------------------------------------- */

int
sentry_post(struct sentry *s, int input, int events, int timeout_ms)
{
	int saved;

	s->session = pthread_self();
	s->input = input;
	s->events = events;
	s->timeout_ms = timeout_ms;
	s->called = false;
	if ((s->dismiss = eventfd(0, EFD_CLOEXEC)) == -1)
		return -1;
	set_blocking(events, true);
	if (start(s) == 0) {
		mask_call(SIG_UNBLOCK);
		s->posted = true;
		return 0;
	}
	saved = errno;
	set_blocking(events, false);
	close(s->dismiss);
	errno = saved;
	return -1;
}

bool
sentry_called(const struct sentry *s)
{
	return s->called;
}

int
sentry_dismiss(struct sentry *s)
{
	const uint64_t one = 1;

	if (!s->posted)
		return 0;
	(void)!write(s->dismiss, &one, sizeof one);
	pthread_join(s->thread, NULL);
	mask_call(SIG_BLOCK);
	close(s->dismiss);
	s->posted = false;
	return s->ready;
}
