#include "protocol/options.h"

#include <err.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "storage/base/num.h"

#define ROWS_MAX 32

static const struct option_row *
row_of(int letter, const struct option_row *rows, size_t nrow)
{
	for (const struct option_row *r = rows; r < rows + nrow; r++)
		if (r->letter == letter)
			return r;
	return NULL;
}

void
options_parse(int argc, char **argv, const struct option_row *rows, size_t nrow,
              void *options)
{
	char letters[2 * ROWS_MAX + 1], *p = letters;
	const struct option_row *r;
	int c;

	for (r = rows; r < rows + nrow && r < rows + ROWS_MAX; r++) {
		*p++ = r->letter;
		if (r->arg != NULL)
			*p++ = ':';
	}
	*p = '\0';
	while ((c = getopt(argc, argv, letters)) != -1) {
		if ((r = row_of(c, rows, nrow)) == NULL)
			exit(OPTIONS_USAGE);
		if (r->each != NULL)
			r->each(options, optarg);
		else if (r->arg != NULL)
			memcpy((char *)options + r->at, &optarg, sizeof optarg);
		else
			*(bool *)((char *)options + r->at) = true;
	}
	if (optind < argc)
		errx(OPTIONS_USAGE,
		     "%s: no argument was expected; -h lists the options",
		     argv[optind]);
}

void
options_print(const char *usage, const struct option_row *rows, size_t nrow)
{
	printf("usage: %s\n\n", usage);
	for (const struct option_row *r = rows; r < rows + nrow; r++)
		printf("  -%c %-8s %s\n", r->letter, r->arg != NULL ? r->arg : "",
		       r->help);
}

int
options_fd(char letter, const char *text)
{
	uint32_t fd;

	if (text == NULL)
		return -1;
	if (num_u32(span_of(text), &fd) == -1 || fd > INT_MAX)
		errx(OPTIONS_USAGE, "-%c %s: not a descriptor", letter, text);
	return (int)fd;
}
