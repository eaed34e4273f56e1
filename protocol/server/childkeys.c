#include "protocol/server/childkeys.h"

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "storage/base/io.h"

void
childkeys_wipe(struct buf *b)
{
	if (b->p != NULL)
		explicit_bzero(b->p, b->cap);
	buf_free(b);
}

int
childkeys_make(struct buf *octets)
{
	int fd, saved;

	fd = memfd_create("mailtree.keys", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd != -1 &&
	    (io_write_all(fd, buf_span(octets)) == -1 ||
	     fcntl(fd, F_ADD_SEALS,
	           F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) == -1)) {
		saved = errno;
		close(fd);
		errno = saved;
		fd = -1;
	}
	childkeys_wipe(octets);
	return fd;
}

void
childkeys_read(struct tlskeys *k, int fd, const char *program)
{
	struct buf octets = {0};

	if (lseek(fd, 0, SEEK_SET) == -1 || io_slurp(fd, &octets) == -1)
		err(1, "%s: reading the keys from descriptor %d", program, fd);
	close(fd);
	if (tlskeys_parse(buf_span(&octets), k) == -1)
		errx(1, "%s: these are no keys: mailtree serve starts this program",
		     program);
	childkeys_wipe(&octets);
}
