#include "storage/epoch.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <unistd.h>

#include "storage/base/hash.h"
#include "storage/base/io.h"
#include "storage/base/log.h"

#define FILE_NAME ".epoch"
#define TMP_NAME  ".epoch.tmp"

struct state {
	uint8_t epoch[16];
	char boot[64];	/* of the machine, as the kernel says it, filled up with NULs */
	uint32_t ended;
	uint32_t check; /* hash_check over the octets before it */
};

/* Empty where it cannot be found out: then every boot is another one. */
static void
read_boot(char boot[static 64])
{
	struct buf text = {.max = 63};
	int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);

	memset(boot, 0, 64);
	if (fd == -1)
		return;
	if (io_slurp(fd, &text) == 0 && text.n > 0)
		memcpy(boot, text.p, text.n);
	buf_free(&text);
	close(fd);
}

static bool
read_state(int dir, struct state *s)
{
	int fd = openat(dir, FILE_NAME, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	bool good;

	if (fd == -1)
		return false;
	good = io_pread_full(fd, s, sizeof *s, 0) == sizeof *s &&
	       s->check == hash_check(s, offsetof(struct state, check));
	close(fd);
	return good;
}

/* Where there was nothing, nothing can come back that would be believed: no need to wait
 * for the disk. */
static int
write_first(int dir, const struct state *s)
{
	int fd = openat(dir, FILE_NAME, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	int rc, saved;

	if (fd == -1 && errno == EEXIST) /* no file of ours, whatever it is */
		return io_replace(dir, FILE_NAME, TMP_NAME,
				  (struct span){(const char *)s, sizeof *s}, 0600);
	if (fd == -1)
		return -1;
	rc = io_write_all(fd, (struct span){(const char *)s, sizeof *s});
	saved = errno;
	close(fd);
	errno = saved;
	return rc;
}

static int
write_state(int dir, struct state *s, bool first)
{
	s->check = hash_check(s, offsetof(struct state, check));
	if (first)
		return write_first(dir, s);
	return io_replace(dir, FILE_NAME, TMP_NAME,
			  (struct span){(const char *)s, sizeof *s}, 0600);
}

static bool
goes_on(const struct state *was, const char boot[static 64])
{
	return was->ended || (boot[0] != '\0' && memcmp(was->boot, boot, sizeof was->boot) == 0);
}

int
epoch_begin(int dir, uint8_t epoch[16])
{
	struct state was, now = {0};
	struct hash_key key;
	bool first;

	read_boot(now.boot);
	first = !read_state(dir, &was);
	if (!first && goes_on(&was, now.boot)) {
		memcpy(epoch, was.epoch, sizeof was.epoch);
		if (!was.ended) /* the file says all that it would say */
			return 0;
		memcpy(now.epoch, was.epoch, sizeof now.epoch);
	} else {
		hash_random(&key);
		_Static_assert(sizeof key == sizeof now.epoch, "16 random octets");
		memcpy(now.epoch, &key, sizeof now.epoch);
	}
	memcpy(epoch, now.epoch, sizeof now.epoch);
	return write_state(dir, &now, first);
}

void
epoch_end(int dir, const uint8_t epoch[16])
{
	struct state now = {.ended = 1};

	read_boot(now.boot);
	memcpy(now.epoch, epoch, sizeof now.epoch);
	if (syncfs(dir) == -1 || write_state(dir, &now, false) == -1)
		log_warn("index files are not known to be on disk, all mail will look changed "
			 "once: %m");
}
