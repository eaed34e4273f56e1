/* mailtree passwd: hash a password, for a passwd-file or into one. */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include "protocol/server/passwdfile.h"
#include "protocol/server/pwhash.h"
#include "protocol/server/server.h"
#include "protocol/server/username.h"
#include "storage/base/io.h"

#define FILE_MAX_OCTETS (64 << 20)

static int
usage(FILE *to)
{
	struct buf schemes = {0};

	(void)pwhash_list(&schemes);
	fprintf(to,
	        "usage: mailtree passwd [-s SCHEME] [-f FILE USER]\n"
	        "  -s SCHEME     the scheme of the hash (default: " PWHASH_DEFAULT ")\n"
	        "  -f FILE USER  put it into FILE as the password of USER\n"
	        "Schemes: %.*s\n",
	        (int)schemes.n, schemes.p);
	buf_free(&schemes);
	return 2;
}

/* ---- the password --------------------------------------------------------------------- */

static int
read_line(char *out, size_t cap)
{
	char *line = NULL;
	size_t room = 0;
	ssize_t n = getline(&line, &room, stdin);
	int rc = -1;

	if (n > 0 && line[n - 1] == '\n')
		n--;
	if (n >= 0)
		rc = span_cstr((struct span){line, (size_t)n}, out, cap);
	if (line != NULL)
		explicit_bzero(line, room);
	free(line);
	return rc;
}

/* Without showing it. */
static int
ask(const char *prompt, char *out, size_t cap)
{
	struct termios shown, hidden;
	int rc;

	if (tcgetattr(STDIN_FILENO, &shown) == -1)
		return -1;
	hidden = shown;
	hidden.c_lflag &= ~(tcflag_t)ECHO;
	fprintf(stderr, "%s", prompt);
	tcsetattr(STDIN_FILENO, TCSAFLUSH, &hidden);
	rc = read_line(out, cap);
	tcsetattr(STDIN_FILENO, TCSAFLUSH, &shown);
	fprintf(stderr, "\n");
	return rc;
}

/* 0, or -1 after saying why not. */
static int
read_password(char *out, size_t cap)
{
	char again[PWHASH_PASSWORD_MAX + 1] = "";
	int rc;

	if (!isatty(STDIN_FILENO))
		rc = read_line(out, cap);
	else if ((rc = ask("Password: ", out, cap)) == 0 &&
	         (rc = ask("Again: ", again, sizeof again)) == 0 &&
	         strcmp(out, again) != 0) {
		warnx("the two are not the same");
		return -1;
	}
	explicit_bzero(again, sizeof again);
	if (rc == -1 || out[0] == '\0') {
		warnx("a password of 1 to %d octets without NUL is needed",
		      PWHASH_PASSWORD_MAX);
		return -1;
	}
	return 0;
}

/* ---- the file ------------------------------------------------------------------------- */

/* A hash is a field of a line. */
static bool
fits_field(struct span hash)
{
	return memchr(hash.p, ':', hash.n) == NULL &&
	       memchr(hash.p, '\n', hash.n) == NULL;
}

/* Replace the open file's text by the one with this user's hash. -1 errno. */
static int
change(int dir, const char *name, int fd, const char *user, struct span hash)
{
	struct buf old = {.max = FILE_MAX_OCTETS}, fresh = {0};
	struct stat st;
	char tmp[NAME_MAX + 1];
	int rc = -1;

	if ((size_t)snprintf(tmp, sizeof tmp, "%.200s.%d.tmp", name, (int)getpid()) <
	        sizeof tmp &&
	    fstat(fd, &st) == 0 && io_slurp(fd, &old) == 0 &&
	    passwdfile_set(buf_span(&old), span_of(user), hash, &fresh) == 0)
		rc = io_replace(dir, name, tmp, buf_span(&fresh), st.st_mode & 0777);
	if (rc == 0) /* the new file is the old one's owner's too */
		rc = fchownat(dir, name, st.st_uid, st.st_gid, AT_SYMLINK_NOFOLLOW);
	buf_free(&old);
	buf_free(&fresh);
	return rc;
}

static int
store(const char *file, const char *user, struct span hash)
{
	char copy[PATH_MAX], copy2[PATH_MAX], *name;
	int dir = -1, fd = -1, rc = -1;

	if (span_cstr(span_of(file), copy, sizeof copy) == 0 &&
	    span_cstr(span_of(file), copy2, sizeof copy2) == 0) {
		name = basename(copy2);
		umask(0); /* modes are meant exactly: a new file 0600, else as it was */
		/* the folder is what stays while the file is replaced: lock that */
		if ((dir = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC)) !=
		        -1 &&
		    flock(dir, LOCK_EX) == 0 &&
		    (fd = openat(dir, name, O_RDONLY | O_CREAT | O_CLOEXEC, 0600)) !=
		        -1)
			rc = change(dir, name, fd, user, hash);
	}
	if (rc == -1)
		warn("%s", file);
	if (fd != -1)
		close(fd);
	if (dir != -1)
		close(dir);
	return rc;
}

static int
run(const char *scheme, const char *file, const char *user)
{
	char password[PWHASH_PASSWORD_MAX + 1];
	struct buf hash = {.max = 4096};
	int rc = 1;

	if (read_password(password, sizeof password) == -1)
		return 1;
	if (pwhash_make(span_of(password), scheme, &hash) == -1)
		warn("%s", scheme);
	else if (file == NULL)
		rc = printf("%.*s\n", (int)hash.n, hash.p) > 0 && fflush(stdout) == 0
		         ? 0
		         : 1;
	else if (!fits_field(buf_span(&hash)))
		warnx("with %s a password cannot hold a colon in a passwd-file",
		      scheme);
	else
		rc = store(file, user, buf_span(&hash)) == 0 ? 0 : 1;
	explicit_bzero(password, sizeof password);
	buf_free(&hash);
	return rc;
}

int
passwd_main(int argc, char **argv)
{
	const char *scheme = PWHASH_DEFAULT, *file = NULL, *user = NULL;
	int opt;

	while ((opt = getopt(argc, argv, "s:f:h")) != -1)
		switch (opt) {
		case 's':
			if ((scheme = pwhash_scheme(span_of(optarg))) == NULL)
				errx(2,
				     "-s %s: there is no such scheme to hash with "
				     "(mailtree passwd -h lists them)",
				     optarg);
			break;
		case 'f':
			file = optarg;
			break;
		case 'h':
			usage(stdout);
			return 0;
		default:
			return usage(stderr);
		}
	if (file != NULL && optind < argc)
		user = argv[optind++];
	if (optind < argc || (file != NULL && user == NULL))
		return usage(stderr);
	if (user != NULL && !username_valid(span_of(user)))
		errx(2, "%s: no user can be called this", user);
	if (user != NULL && strchr(user, ':') != NULL)
		errx(2, "%s: a name in a passwd-file cannot hold a colon", user);
	return run(scheme, file, user);
}
