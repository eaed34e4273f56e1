/*
 * mailtree cert: a self-signed certificate and its key, into two files that are not there
 * yet. Each is written whole before it gets its name, and the key gets its name first: a
 * server that finds the certificate finds its key.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <libgen.h>
#include <limits.h>
#include <netdb.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "protocol/server/selfcert.h"
#include "protocol/server/server.h"
#include "storage/base/io.h"
#include "storage/base/num.h"

#define CERT_FILE MT_SYSCONFDIR "/mailtree/cert.pem"
#define KEY_FILE  MT_SYSCONFDIR "/mailtree/key.pem"

/* A file to be: its folder and its name there. */
struct place {
	const char *path;
	char name[NAME_MAX + 1];
	int dir, fd;
	char tmp[NAME_MAX + 1]; /* of a file without a name: "" */
};

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

/* ---- guards --------------------------------------------------------------------------- */

/* Whoever can write the folder can put another key there. */
static int
look_at_folder(const struct place *p)
{
	struct stat st;

	if (fstat(p->dir, &st) == -1) {
		warn("%s", p->path);
		return -1;
	}
	if ((st.st_mode & S_IWOTH) && !(st.st_mode & S_ISVTX)) {
		warnx("%s: everybody can write the directory that it would be in: "
		      "chmod o-w it first",
		      p->path);
		return -1;
	}
	if (fstatat(p->dir, p->name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
		warnx("%s: there is one already, and it is not overwritten: remove it "
		      "first, or name another file",
		      p->path);
		return -1;
	}
	if (errno == ENOENT)
		return 0;
	warn("%s", p->path);
	return -1;
}

static int
open_place(struct place *p, const char *path)
{
	char folder[PATH_MAX], copy[PATH_MAX];

	*p = (struct place){.path = path, .dir = -1, .fd = -1};
	if (span_cstr(span_of(path), folder, sizeof folder) == -1 ||
	    span_cstr(span_of(path), copy, sizeof copy) == -1 ||
	    span_cstr(span_of(basename(copy)), p->name, sizeof p->name) == -1) {
		warn("%s", path);
		return -1;
	}
	if ((p->dir = open(dirname(folder), O_RDONLY | O_DIRECTORY | O_CLOEXEC)) ==
	    -1) {
		warn("%s: the directory %s", path, folder);
		return -1;
	}
	return look_at_folder(p);
}

/* Do both name the same file to be? */
static bool
same_place(const struct place *a, const struct place *b)
{
	struct stat sa, sb;

	return strcmp(a->name, b->name) == 0 && fstat(a->dir, &sa) == 0 &&
	       fstat(b->dir, &sb) == 0 && sa.st_dev == sb.st_dev &&
	       sa.st_ino == sb.st_ino;
}

/* ---- files that appear whole ---------------------------------------------------------- */

/*
 * A file that has no name yet is gone with this process, however that ends. Where the
 * file system has no such files it is one with a name of its own.
 */
static int
open_unnamed(struct place *p, mode_t mode)
{
	p->fd = openat(p->dir, ".", O_TMPFILE | O_WRONLY | O_CLOEXEC, mode);
	if (p->fd != -1 || (errno != EOPNOTSUPP && errno != EISDIR && errno != ENOENT &&
	                    errno != EINVAL))
		return p->fd == -1 ? -1 : 0;
	snprintf(p->tmp, sizeof p->tmp, ".%.200s.%d.tmp", p->name, (int)getpid());
	p->fd = openat(p->dir, p->tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
	if (p->fd == -1)
		p->tmp[0] = '\0';
	return p->fd == -1 ? -1 : 0;
}

static int
write_place(struct place *p, struct span text, mode_t mode)
{
	if (open_unnamed(p, mode) == 0 && io_write_all(p->fd, text) == 0 &&
	    fchmod(p->fd, mode) == 0 && fsync(p->fd) == 0)
		return 0;
	warn("%s", p->path);
	return -1;
}

/* Give it its name, which nobody may have taken meanwhile. */
static int
publish(struct place *p)
{
	char self[64];
	int rc;

	snprintf(self, sizeof self, "/proc/self/fd/%d", p->fd);
	if (p->tmp[0] != '\0')
		rc = linkat(p->dir, p->tmp, p->dir, p->name, 0);
	else
		rc = linkat(AT_FDCWD, self, p->dir, p->name, AT_SYMLINK_FOLLOW);
	if (rc == 0 && fsync(p->dir) == 0)
		return 0;
	warn("%s", p->path);
	if (rc == 0)
		unlinkat(p->dir, p->name, 0);
	return -1;
}

static void
close_place(struct place *p)
{
	if (p->tmp[0] != '\0')
		unlinkat(p->dir, p->tmp, 0);
	if (p->fd != -1)
		close(p->fd);
	if (p->dir != -1)
		close(p->dir);
}

/* Both or none: between the two names nothing that can wait interrupts. */
static int
publish_both(struct place *cert, struct place *key)
{
	sigset_t all, before;
	int rc = -1;

	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, &before);
	if (publish(key) == 0) {
		rc = publish(cert);
		if (rc == -1)
			unlinkat(key->dir, key->name, 0);
	}
	close_place(cert);
	close_place(key);
	cert->dir = cert->fd = key->dir = key->fd = -1;
	cert->tmp[0] = key->tmp[0] = '\0';
	sigprocmask(SIG_SETMASK, &before, NULL);
	return rc;
}

/* ---- the command ---------------------------------------------------------------------- */

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
store(const struct selfcert *made, struct place *cert, struct place *key)
{
	if (write_place(key, buf_span(&made->key), 0600) == -1 ||
	    write_place(cert, buf_span(&made->cert), 0644) == -1 ||
	    publish_both(cert, key) == -1)
		return 1;
	printf("%.*scertificate: %s\nkey: %s\n", (int)made->about.n, made->about.p,
	       cert->path, key->path);
	return fflush(stdout) == 0 ? 0 : 1;
}

static int
make(const char *conf, unsigned days, char *const *names, size_t n, struct place *cert,
     struct place *key)
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
	struct place cert = {.dir = -1, .fd = -1}, key = {.dir = -1, .fd = -1};
	int rc = 1;

	umask(077);
	if (open_place(&key, key_path) == 0 && open_place(&cert, cert_path) == 0) {
		if (same_place(&cert, &key))
			warnx("%s: certificate and key need a file each", cert_path);
		else
			rc = make(conf, days, names, n, &cert, &key);
	}
	close_place(&cert);
	close_place(&key);
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
