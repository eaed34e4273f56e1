/*
 * mailtree cert: a self-signed certificate and its key, into two files that are not there
 * yet. Each is written whole before it gets its name, and the key gets its name first: a
 * server that finds the certificate finds its key.
 */
#include <err.h>
#include <getopt.h>
#include <limits.h>
#include <netdb.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "protocol/server/newfile.h"
#include "protocol/server/selfcert.h"
#include "protocol/server/server.h"
#include "storage/base/num.h"

#define CERT_FILE MT_SYSCONFDIR "/mailtree/cert.pem"
#define KEY_FILE  MT_SYSCONFDIR "/mailtree/key.pem"

static int
usage(FILE *to)
{
	fprintf(
	    to,
	    "usage: mailtree cert [-c FILE] [-d DAYS] [-o CERT] [-k KEY] [NAME...]\n"
	    "  -c FILE   subject and names from an OpenSSL configuration\n"
	    "  -d DAYS   valid for so long (default: %d)\n"
	    "  -o CERT   the certificate (default: " CERT_FILE ")\n"
	    "  -k KEY    its key (default: " KEY_FILE ")\n",
	    SELFCERT_DAYS);
	return 2;
}

/* Both or none: between the two names no signal that can wait interrupts. */
static int
publish_both(struct newfile *cert, struct newfile *key)
{
	sigset_t all, before;
	int rc = -1;

	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, &before);
	if (newfile_publish(key) == 0 && (rc = newfile_publish(cert)) == -1)
		newfile_take_back(key);
	newfile_close(cert);
	newfile_close(key);
	sigprocmask(SIG_SETMASK, &before, NULL);
	return rc;
}

/* What this machine is called, with its domain where that is known. */
static int
own_name(char *out, size_t cap)
{
	struct addrinfo hints = {.ai_flags = AI_CANONNAME}, *found;
	char host[HOST_NAME_MAX + 1];
	const char *name = host;
	int rc;

	if (gethostname(host, sizeof host) == -1)
		return -1;
	host[sizeof host - 1] = '\0';
	if (getaddrinfo(host, NULL, &hints, &found) != 0)
		found = NULL;
	if (found != NULL && found->ai_canonname != NULL &&
	    strchr(found->ai_canonname, '.') != NULL)
		name = found->ai_canonname;
	rc = span_cstr(span_of(name), out, cap);
	if (found != NULL)
		freeaddrinfo(found);
	return rc;
}

static int
store(const struct selfcert *made, struct newfile *cert, struct newfile *key)
{
	const char *cert_path = cert->path, *key_path = key->path;

	if (newfile_write(key, buf_span(&made->key), 0600) == -1 ||
	    newfile_write(cert, buf_span(&made->cert), 0644) == -1 ||
	    publish_both(cert, key) == -1)
		return 1;
	printf("%.*scertificate: %s\nkey: %s\n", (int)made->about.n, made->about.p,
	       cert_path, key_path);
	return fflush(stdout) == 0 ? 0 : 1;
}

static int
make(const char *conf, unsigned days, char *const *names, size_t n,
     struct newfile *cert, struct newfile *key)
{
	char why[1024], host[NI_MAXHOST];
	const char *usual = NULL;
	struct selfcert made;
	int rc;

	if (own_name(host, sizeof host) == 0 && selfcert_name_wrong(host) == NULL)
		usual = host;
	if (selfcert_make(&made, conf, names, n, usual, days, why, sizeof why) == -1) {
		warnx("%s", why);
		return 1;
	}
	rc = store(&made, cert, key);
	selfcert_free(&made);
	return rc;
}

static int
run(const char *conf, unsigned days, const char *cert_path, const char *key_path,
    char *const *names, size_t n)
{
	struct newfile cert = NEWFILE_NONE, key = NEWFILE_NONE;
	int rc = 1;

	umask(077);
	if (newfile_open(&key, key_path) == 0 && newfile_open(&cert, cert_path) == 0) {
		if (newfile_same(&cert, &key))
			warnx("%s: certificate and key need a file each", cert_path);
		else
			rc = make(conf, days, names, n, &cert, &key);
	}
	newfile_close(&cert);
	newfile_close(&key);
	return rc;
}

int
cert_main(int argc, char **argv)
{
	const char *conf = NULL, *cert = CERT_FILE, *key = KEY_FILE, *wrong;
	uint32_t days = SELFCERT_DAYS;
	int opt;

	while ((opt = getopt(argc, argv, "c:d:o:k:h")) != -1)
		switch (opt) {
		case 'c':
			conf = optarg;
			break;
		case 'd':
			if (num_u32(span_of(optarg), &days) == -1 || days == 0 ||
			    days > SELFCERT_DAYS_MAX)
				errx(2, "-d %s: days are a number from 1 to %d", optarg,
				     SELFCERT_DAYS_MAX);
			break;
		case 'o':
			cert = optarg;
			break;
		case 'k':
			key = optarg;
			break;
		case 'h':
			usage(stdout);
			return 0;
		default:
			return usage(stderr);
		}
	if (argc - optind > SELFCERT_NAMES_MAX)
		errx(2, "more than %d names", SELFCERT_NAMES_MAX);
	for (int i = optind; i < argc; i++)
		if ((wrong = selfcert_name_wrong(argv[i])) != NULL)
			errx(2, "%s: %s", argv[i], wrong);
	return run(conf, days, cert, key, argv + optind, (size_t)(argc - optind));
}
