/*
 * mailtree-auth: knows the password files and PAM; says who a connection belongs to.
 * Started by `mailtree serve` with the settings and a socket.
 */
#include <err.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "protocol/confine.h"
#include "protocol/seal.h"
#include "protocol/server/auth/authd.h"
#include "protocol/server/auth/dialog.h"
#include "protocol/server/auth/nursery.h"
#include "protocol/server/caps.h"
#include "protocol/server/childconf.h"
#include "storage/base/log.h"
#include "storage/base/num.h"

static int
descriptor(const char *text)
{
	uint32_t n;

	if (num_u32(span_of(text), &n) == -1 || n > 1024)
		errx(2, "not a descriptor: %s", text);
	return (int)n;
}

/*
 * From here on nothing is read but sockets that the parent gives: who asks, and whose
 * question it is. What knows the databases is the nursery's.
 */
static void
give_up_rights(void)
{
	tzset(); /* syslog(3) would read its file later */
	if (caps_keep(0) == -1)
		err(1, "capabilities");
	if (confine_to_nothing() == -1)
		log_debug("no Landlock: %s", strerror(errno));
	if (seal(SEAL_AUTH, "mailtree-auth", "parent of workers") == -1)
		log_debug("not sealed: %s", strerror(errno));
}

int
main(int argc, char **argv)
{
	static struct config conf;
	int parent;

	if (argc == 2 && strcmp(argv[1], "--version") == 0) {
		printf("mailtree-auth %s\n", MT_VERSION);
		return 0;
	}
	if (argc != 3)
		errx(
		    2,
		    "usage: mailtree-auth SETTINGS-FD PARENT-FD (mailtree serve starts "
		    "this program)");
	signal(SIGPIPE, SIG_IGN);
	signal(SIGINT, SIG_IGN); /* of a terminal: the parent ends us */
	if (caps_keep(CAPS_AUTH) == -1)
		err(1, "capabilities");
	prctl(PR_SET_DUMPABLE, 0);
	childconf_read(&conf, descriptor(argv[1]), "mailtree-auth");
	if (childconf_log(&conf, "mailtree-auth") == -1)
		err(1, "%s", conf.text[CONF_LOG_PATH]);
	parent = descriptor(argv[2]);
	/* once for all workers: what they invent for unknown users is the same in each */
	if (dialog_prepare(&conf) == -1)
		return 1;
	if (nursery_open(&conf) == -1)
		err(1, "a process for workers");
	give_up_rights();
	return authd_run(&conf, parent);
}
