/*
 * mailtree-auth: knows the password files and PAM; says who a connection belongs to.
 * Started by `mailtree serve` with the settings and a socket.
 */
#include <err.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "protocol/server/auth/authd.h"
#include "protocol/server/childconf.h"
#include "storage/base/num.h"

static int
descriptor(const char *text)
{
	uint32_t n;

	if (num_u32(span_of(text), &n) == -1 || n > 1024)
		errx(2, "not a descriptor: %s", text);
	return (int)n;
}

int
main(int argc, char **argv)
{
	static struct config conf;

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
	prctl(PR_SET_DUMPABLE, 0);
	childconf_read(&conf, descriptor(argv[1]), "mailtree-auth");
	if (childconf_log(&conf, "mailtree-auth") == -1)
		err(1, "%s", conf.text[CONF_LOG_PATH]);
	return authd_run(&conf, descriptor(argv[2]));
}
