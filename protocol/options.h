/*
 * options: the command line of a session program. The table, in the order of its man page,
 * both parses and prints the help.
 */
#ifndef PROTOCOL_OPTIONS_H
#define PROTOCOL_OPTIONS_H

#include <stddef.h>

struct option_row {
	char letter;
	const char *arg; /* NULL: a switch */
	size_t at;	 /* in the caller's struct: a const char *, or a bool */
	const char *help;
	/* may be given many times: called each time instead */
	void (*each)(void *options, const char *value);
};

/* Fills `options`; exits with OPTIONS_USAGE and a word why on a line that is wrong. */
#define OPTIONS_USAGE 2
void options_parse(int argc, char **argv, const struct option_row *, size_t nrow,
		   void *options);
void options_print(const char *usage, const struct option_row *, size_t nrow);

/* A descriptor's number, or -1 for NULL. */
int options_fd(char letter, const char *text);

#endif
