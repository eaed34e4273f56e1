/* indexfile: what is not right in every octet is not believed, and nothing crashes. */
#include "tests/unit/support/check.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "storage/base/io.h"
#include "storage/indexfile.h"

enum { N = 20 };

static char path[64];
static int dir;
static struct mt_header head;
static struct mt_record rec[N];

static int
setup(void **state)
{
	(void)state;
	dir = scratch_make(path);
	memset(&head, 0, sizeof head);
	memcpy(head.magic, MT_MAGIC, sizeof head.magic);
	head.version = MT_ABI_VERSION;
	head.header_size = MT_HEADER_SIZE;
	head.record_size = sizeof *rec;
	head.uidvalidity = 7;
	head.uidnext = 1000;
	head.nrecord = N;
	indexfile_seal_header(&head);
	for (uint32_t i = 0; i < N; i++) {
		rec[i] = (struct mt_record){.uid = 10 * i + 1, .wire_size = i, .name_hash = i};
		indexfile_seal_record(&rec[i]);
	}
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	close(dir);
	scratch_remove(path);
	return 0;
}

static void
write_index(void)
{
	int fd = indexfile_create(dir, &head, rec, N);

	check_true(fd != -1, "create: %s", strerror(errno));
	close(fd);
}

static void
reads_back(void **state)
{
	struct index_image im;

	(void)state;
	write_index();
	indexfile_read(dir, &im);
	check_num(im.n, N, "records");
	check_num(im.head.uidvalidity, 7, "uidvalidity");
	for (uint32_t i = 0; i < N; i++) {
		const struct mt_record *r = indexfile_find(&im, 10 * i + 1);

		check_true(r != NULL && r->wire_size == i, "record %u", i);
		check_true(indexfile_find(&im, 10 * i + 2) == NULL, "UID %u", 10 * i + 2);
	}
	indexfile_free(&im);
}

static void
leaves_tombstones_and_disorder_out(void **state)
{
	struct index_image im;

	(void)state;
	rec[3].bits = MT_EXPUNGED;
	indexfile_seal_record(&rec[3]);
	rec[5].uid = 2; /* falls */
	indexfile_seal_record(&rec[5]);
	rec[7].uid = 5000; /* not below UIDNEXT */
	indexfile_seal_record(&rec[7]);
	rec[9].flags = 1; /* unsealed */
	write_index();
	indexfile_read(dir, &im);
	check_num(im.n, N - 4, "records");
	indexfile_free(&im);
}

/* Flip one bit of every octet in turn: at most the record that holds it is lost. */
static void
every_octet_spoilt(void **state)
{
	struct buf whole = {0};
	struct index_image im;
	int fd;

	(void)state;
	write_index();
	fd = openat(dir, "index", O_RDWR);
	check_num((uint64_t)io_slurp(fd, &whole), 0, "slurp");
	for (size_t i = 0; i < whole.n; i++) {
		char bad = (char)(whole.p[i] ^ 0x10);

		check_num((uint64_t)io_pwrite_all(fd, (struct span){&bad, 1}, (off_t)i), 0, "pwrite");
		indexfile_read(dir, &im);
		if (i < MT_HEADER_SIZE)
			check_num(im.n, 0, "octet %zu", i);
		else
			check_num(im.n, N - 1, "octet %zu", i);
		indexfile_free(&im);
		check_num((uint64_t)io_pwrite_all(fd, (struct span){whole.p + i, 1}, (off_t)i), 0,
			  "pwrite");
	}
	for (size_t cut = whole.n; cut-- > 0; cut -= cut > MT_HEADER_SIZE ? 0 : cut > 64 ? 63 : 0) {
		check_num((uint64_t)ftruncate(fd, (off_t)cut), 0, "truncate");
		indexfile_read(dir, &im);
		check_num(im.n, cut < MT_HEADER_SIZE ? 0 : (cut - MT_HEADER_SIZE) / sizeof *rec,
			  "cut %zu", cut);
		indexfile_free(&im);
	}
	close(fd);
	buf_free(&whole);
}

static void
nothing_there(void **state)
{
	struct index_image im;

	(void)state;
	indexfile_read(dir, &im);
	check_num(im.n, 0, "records");
	check_true(indexfile_find(&im, 1) == NULL, "found in nothing");
	indexfile_free(&im);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(reads_back, setup, teardown),
	    cmocka_unit_test_setup_teardown(leaves_tombstones_and_disorder_out, setup, teardown),
	    cmocka_unit_test_setup_teardown(every_octet_spoilt, setup, teardown),
	    cmocka_unit_test_setup_teardown(nothing_there, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
