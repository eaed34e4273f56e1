/* mailtree config: show the settings in force, or report what is wrong with them. */
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "protocol/server/confcheck.h"
#include "protocol/server/importcmd.h"
#include "protocol/server/server.h"

static int
usage(FILE *to)
{
	fprintf(to, "usage: mailtree config show [-c FILE] [-n] | check [-c FILE] |\n"
	            "                       import [-o FILE] FILE...\n"
	            "  -c FILE  the configuration (default: " CONF_DEFAULT_FILE ")\n"
	            "  -n       only what differs from the defaults\n"
	            "  -o FILE  write there, not to standard output\n"
	            "import reads a dovecot.conf, or Courier's imapd, imapd-ssl, pop3d,\n"
	            "pop3d-ssl and authdaemonrc.\n");
	return 2;
}

static int
put(FILE *to, const struct buf *b)
{
	return fwrite(b->p, 1, b->n, to) == b->n && fflush(to) == 0 ? 0 : -1;
}

/* True when it was there, and was the password itself, not the name of its file. */
static bool
hide(char *password)
{
	size_t n = strlen(password);

	if (n == 0 || password[0] == '<')
		return false;
	explicit_bzero(password, n);
	return true;
}

/* What is shown is often shown to others: not the passwords of keys. */
static int
show(struct config *c, bool changed_only)
{
	struct buf out = {0};
	bool hidden = hide(c->text[CONF_SSL_KEY_PASSWORD]);
	int rc;

	for (size_t i = 0; i < c->nlocal; i++)
		hidden |= hide(c->local[i].password);
	rc = config_print(c, changed_only, &out);
	if (rc == 0 && hidden)
		rc = buf_add(&out, SPAN("# ssl_key_password is not shown\n"));
	if (rc == 0 && out.n > 0)
		rc = put(stdout, &out);
	buf_free(&out);
	return rc == 0 ? 0 : 1;
}

/* Mistakes go to stderr, where they do not mix with settings. */
static void
tell(const struct config *c, FILE *to)
{
	struct buf out = {0};

	if (config_print_notes(c, &out) == 0 && out.n > 0)
		(void)put(to, &out);
	buf_free(&out);
}

static int
run(bool check, const char *file, bool changed_only)
{
	struct config c;
	int rc = confcheck_load(&c, file, NULL) == 0 ? 0 : 1;

	tell(&c, check ? stdout : stderr);
	if (check && rc == 0)
		printf("%s: no mistakes\n", file);
	else if (!check && rc == 0)
		rc = show(&c, changed_only);
	config_free(&c);
	return rc;
}

static int
import(int argc, char **argv)
{
	const char *to = NULL;
	int opt;

	while ((opt = getopt(argc, argv, "o:h")) != -1)
		if (opt == 'o')
			to = optarg;
		else
			return opt == 'h' ? (usage(stdout), 0) : usage(stderr);
	if (optind == argc)
		return usage(stderr);
	return import_run(to, argv + optind, (size_t)(argc - optind));
}

int
config_main(int argc, char **argv)
{
	const char *file = CONF_DEFAULT_FILE;
	bool changed_only = false, check;
	int opt;

	if (argc >= 2 && strcmp(argv[1], "-h") == 0) {
		usage(stdout);
		return 0;
	}
		if (argc >= 2 && strcmp(argv[1], "import") == 0)
		return import(argc - 1, argv + 1);
	if (argc < 2 || (strcmp(argv[1], "show") != 0 && strcmp(argv[1], "check") != 0))
		return usage(stderr);
	check = strcmp(argv[1], "check") == 0;
	while ((opt = getopt(argc - 1, argv + 1, check ? "c:h" : "c:nh")) != -1)
		switch (opt) {
		case 'c':
			file = optarg;
			break;
		case 'n':
			changed_only = true;
			break;
		case 'h':
			usage(stdout);
			return 0;
		default:
			return usage(stderr);
		}
	if (optind < argc - 1)
		return usage(stderr);
	return run(check, file, changed_only);
}
