/*
 * mailtree-login: talks to everybody who has not logged in. It holds no mail, no
 * password file and, after its first moments, no rights: an own uid and an empty root.
 * Started by `mailtree serve` with the settings and sockets.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "protocol/confine.h"
#include "protocol/server/childconf.h"
#include "protocol/server/childkeys.h"
#include "protocol/server/login/login.h"
#include "protocol/server/login/tls.h"
#include "protocol/server/tlsctx.h"
#include "storage/base/num.h"

static uint32_t
number(const char *text, uint32_t most)
{
	uint32_t n;

	if (num_u32(span_of(text), &n) == -1 || n > most)
		errx(2, "not a number up to %u: %s", most, text);
	return n;
}

/* The account to run as: the configured one, or the first of the usual ones. */
static struct passwd *
account(const char *configured)
{
	static const char *const usual[] = {"mailtree-login", "_mailtree", "nobody"};
	struct passwd *pw = NULL;

	if (configured[0] != '\0') {
		if ((pw = getpwnam(configured)) == NULL)
			errx(1, "default_login_user: there is no user %s", configured);
		return pw;
	}
	for (size_t i = 0; i < ARRAY_LEN(usual) && pw == NULL; i++)
		pw = getpwnam(usual[i]);
	if (pw == NULL)
		errx(1, "there is no user to run as: create mailtree-login, or set "
		        "default_login_user");
	return pw;
}

/* A root directory that has been removed: nothing can ever appear in it. */
static void
enter_nothing(void)
{
	char path[] = "/tmp/mailtree-login.XXXXXX";

	if (mkdtemp(path) == NULL || chdir(path) == -1)
		err(1, "an empty directory: %s", path);
	if (rmdir(path) == -1 || chroot(".") == -1)
		err(1, "chroot to %s", path);
}

static void
give_up_rights(const struct config *c)
{
	struct passwd *pw;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1)
		err(1, "no_new_privs");
	if (geteuid() != 0) /* one's own mail: there is nothing to give up */
		return;
	pw = account(c->text[CONF_DEFAULT_LOGIN_USER]);
	if (pw->pw_uid == 0)
		errx(1, "default_login_user: %s is root", pw->pw_name);
	enter_nothing();
	if (setgroups(0, NULL) == -1 ||
	    setresgid(pw->pw_gid, pw->pw_gid, pw->pw_gid) == -1 ||
	    setresuid(pw->pw_uid, pw->pw_uid, pw->pw_uid) == -1)
		err(1, "becoming %s", pw->pw_name);
}

int
main(int argc, char **argv)
{
	static struct config conf;
	static struct login_params p;
	static struct tlskeys keys;
	size_t n = 0;
	struct timeval patience = {5, 0};

	if (argc == 2 && strcmp(argv[1], "--version") == 0) {
		printf("mailtree-login %s\n", MT_VERSION);
		return 0;
	}
	if (argc < 13 || argc - 13 > LOGIN_LISTENERS_MAX)
		errx(2, "usage: mailtree-login SETTINGS-FD NUMBER SERVICE-COUNT "
		        "CLIENT-LIMIT ALONE POP3-LISTENERS "
		        "POP3S-LISTENERS IMAP-LISTENERS IMAPS-LISTENERS PARENT-FD "
		        "AUTH-FD KEYS-FD LISTENER-FD... (mailtree serve starts this "
		        "program)");
	signal(SIGPIPE, SIG_IGN);
	signal(SIGINT, SIG_IGN); /* of a terminal: the parent ends us */
	childconf_read(&conf, (int)number(argv[1], INT_MAX), "mailtree-login");
	if (childconf_log(&conf, "mailtree-login") == -1)
		err(1, "%s", conf.text[CONF_LOG_PATH]);
	p.conf = &conf;
	p.number = number(argv[2], 65535);
	p.service_count = number(argv[3], UINT32_MAX);
	p.client_limit = number(argv[4], UINT32_MAX);
	p.alone = number(argv[5], 1) == 1;
	for (size_t i = 0; i < LISTEN_KINDS; i++)
		n += p.of[i] = number(argv[6 + i], LOGIN_LISTENERS_MAX);
	p.parent = (int)number(argv[10], INT_MAX);
	p.auth = (int)number(argv[11], INT_MAX);
	tlsctx_init();
	childkeys_read(&keys, (int)number(argv[12], INT_MAX), "mailtree-login");
	for (int i = 13; i < argc; i++)
		p.listener[p.nlistener++] = (int)number(argv[i], INT_MAX);
	if (n != p.nlistener)
		errx(2, "%zu listeners are said to be there, and %zu are", n,
		     p.nlistener);
	setsockopt(p.parent, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
	give_up_rights(&conf);
	confine_untraced();
	if ((p.tls = tls_set_make(&conf, &keys)) == NULL && keys.n > 0)
		errx(1, "no TLS");
	tlskeys_free(&keys);
	tzset(); /* syslog(3) would read its file later */
	return login_run(&p);
}
