/* mailtree mount: mailtreed does it, and returns once the tree is mounted. */
#include <getopt.h>
#include <stddef.h>

#include "protocol/command/verb.h"

/* What mailtreed takes and a user may ask for; the rest of its options is the server's. */
static const struct option options[] = {
    {"index-path", required_argument, NULL, 'i'},
    {"mbox", required_argument, NULL, 'm'},
    {"poll", no_argument, NULL, 'p'},
    {"syslog", no_argument, NULL, 's'},
    {0},
};

int
mount_main(int argc, char **argv)
{
	int c;

	optind = 1;
	while ((c = getopt_long(argc, argv, "+fo:", options, NULL)) != -1)
		if (c == '?')
			return verb_usage("mount");
	if (argc - optind != 2)
		return verb_usage("mount");
	return verb_exec("mailtreed", argv);
}
