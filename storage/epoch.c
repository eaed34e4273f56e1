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

static int
write_state(int dir, struct state *s)
{
	s->check = hash_check(s, offsetof(struct state, check));
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

	read_boot(now.boot);
	if (read_state(dir, &was) && goes_on(&was, now.boot))
		memcpy(now.epoch, was.epoch, sizeof now.epoch);
	else {
		hash_random(&key);
		_Static_assert(sizeof key == sizeof now.epoch, "16 random octets");
		memcpy(now.epoch, &key, sizeof now.epoch);
	}
	memcpy(epoch, now.epoch, sizeof now.epoch);
	return write_state(dir, &now);
}

void
epoch_end(int dir, const uint8_t epoch[16])
{
	struct state now = {.ended = 1};

	read_boot(now.boot);
	memcpy(now.epoch, epoch, sizeof now.epoch);
	if (syncfs(dir) == -1 || write_state(dir, &now) == -1)
		log_warn("index files are not known to be on disk, all mail will look changed "
			 "once: %m");
}
