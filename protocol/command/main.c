/* mailtree: the command. One table of verbs; `mailtree help` prints it. */
#include <err.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "protocol/command/verb.h"
#include "protocol/server/server.h"
#include "storage/base/program.h"
#include "storage/base/span.h"

static int help_main(int argc, char **argv);

static const struct verb {
	const char *name, *args;
	const char *what; /* one line */
	const char *more; /* further lines of its help */
	int (*run)(int argc, char **argv);
} verbs[] = {
    {"mount",
     "[-f] [-o OPTIONS] [--index-path DIR] [--poll] [--syslog]\n"
     "                      SOURCE MOUNTPOINT",
     "show a Maildir, mbox or folder of mboxes as a tree of exact files",
     "  -f                stay in the foreground\n"
     "  -o OPTIONS        ro, allow_other, xattr, ... (a comma list)\n"
     "  --index-path DIR  where the index lies (default: the user's cache)\n"
     "  --poll            look for changes by polling, not by inotify\n"
     "  --syslog          log there once it is in the background\n"
     "SOURCE is a path, or one behind `maildir:` or `mbox:`.\n",
     mount_main},
    {"umount", "[--lazy] MOUNTPOINT", "end a mount",
     "  --lazy            detach it now, also when it is in use\n", umount_main},
    {"serve", "[-c FILE]",
     "serve POP3 and IMAP from the mounted tree, in the foreground",
     "  -c FILE           the configuration (default: " MT_SYSCONFDIR
     "/mailtree/mailtree.conf)\n",
     serve_main},
    {"passwd", "[-s SCHEME] [-f FILE USER]", "hash a password for a passwd-file",
     "  -s SCHEME         the scheme of the hash\n"
     "  -f FILE USER      put it into FILE as the password of USER\n"
     "The password is asked twice on a terminal, else it is the first line of stdin.\n",
     passwd_main},
    {"cert", "[-c FILE] [-d DAYS] [-o CERT] [-k KEY] [NAME...]",
     "make a self-signed certificate and its key",
     "  -c FILE           subject and names from an OpenSSL configuration\n"
     "  -d DAYS           valid for so long (default: two years)\n"
     "  -o CERT           the certificate (default: " MT_SYSCONFDIR
     "/mailtree/cert.pem)\n"
     "  -k KEY            its key (default: " MT_SYSCONFDIR "/mailtree/key.pem)\n"
     "NAMEs are host names and addresses, by default this machine's name.\n",
     cert_main},
    {"config", "show [-c FILE] [-n] | check [-c FILE] | import [-o FILE] FILE...",
     "print the settings in force, report what is wrong, take over others' files",
     "  -c FILE           the configuration (default: " MT_SYSCONFDIR
     "/mailtree/mailtree.conf)\n"
     "  -n                only what differs from the defaults\n"
     "  -o FILE           write there, not to standard output\n"
     "import reads a dovecot.conf, or Courier's imapd, imapd-ssl, pop3d, pop3d-ssl and\n"
     "authdaemonrc.\n",
     config_main},
    {"check", "PATH", "verify sizes, bytes and numbers of a mount or a store",
     "PATH is a directory of a mounted tree, or a store. Prints a line per "
     "violation;\n"
     "exit status 0: none, 1: some, 2: could not look.\n",
     check_main},
    {"version", "", "print versions", "", version_main},
    {"help", "[VERB]", "explain a verb", "", help_main},
};

static const struct verb *
find(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(verbs); i++)
		if (strcmp(verbs[i].name, name) == 0)
			return &verbs[i];
	return NULL;
}

static void
explain(FILE *to, const struct verb *v)
{
	fprintf(to, "usage: mailtree %s%s%s\n%s: %s\n%s", v->name, *v->args ? " " : "",
	        v->args, v->name, v->what, v->more);
}

static void
list(FILE *to)
{
	fprintf(to, "usage: mailtree VERB ...\n\n");
	for (size_t i = 0; i < ARRAY_LEN(verbs); i++)
		fprintf(to, "  %-9s %s\n", verbs[i].name, verbs[i].what);
	fprintf(to, "\n`mailtree help VERB` explains one.\n");
}

int
verb_usage(const char *verb)
{
	explain(stderr, find(verb));
	return 2;
}

int
verb_exec(const char *name, char **argv)
{
	char path[4096];

	if (program_find(name, path, sizeof path) == -1) {
		warn("%s: neither beside this program nor in its libexec directory",
		     name);
		return 1;
	}
	argv[0] = path;
	execv(path, argv);
	warn("%s", path);
	return 1;
}

static int
help_main(int argc, char **argv)
{
	const struct verb *v;

	if (argc > 2)
		return verb_usage("help");
	if (argc == 1) {
		list(stdout);
		return 0;
	}
	if ((v = find(argv[1])) == NULL) {
		warnx("help: no verb is called `%s`", argv[1]);
		return 2;
	}
	explain(stdout, v);
	return 0;
}

int
main(int argc, char **argv)
{
	const struct verb *v;
	const char *name = argc > 1 ? argv[1] : "";

	if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0)
		name = "help";
	if (strcmp(name, "--version") == 0 || strcmp(name, "-V") == 0)
		name = "version";
	if ((v = find(name)) == NULL) {
		if (*name != '\0')
			warnx("no verb is called `%s`", name);
		list(stderr);
		return 2;
	}
	if (argc == 3 && strcmp(argv[2], "--help") == 0) {
		explain(stdout, v);
		return 0;
	}
	return v->run(argc - 1, argv + 1);
}
