/* mailtree version: this one, the libraries it is built with, and what they make possible. */
#include <gnu/libc-version.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#include "protocol/command/verb.h"
#include "storage/base/span.h"

/* MT_PARTS: `name version` of what was found when it was built, each ended by a comma. */
static void
print_parts(void)
{
	struct span rest = span_of(MT_PARTS), part, name;

	while (span_cut(&rest, ',', &part)) {
		if (!span_word(&part, &name))
			continue;
		part = span_trim(part);
		printf("  %-12.*s%.*s\n", (int)name.n, name.p, part.n ? (int)part.n : 3,
		       part.n ? part.p : "not");
	}
}

int
version_main(int argc, char **argv)
{
	struct utsname kernel;

	(void)argv;
	if (argc > 1)
		return verb_usage("version");
	printf("mailtree %s\n", MT_VERSION);
	printf("  %-12s%s\n", "libc", gnu_get_libc_version());
	print_parts();
	if (uname(&kernel) == 0)
		printf("  %-12s%s\n", "kernel", kernel.release);
	return 0;
}
