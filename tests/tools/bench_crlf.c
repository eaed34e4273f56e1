/* bench_crlf: octets per second of conversion and counting, over kinds of text. */
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "storage/crlf.h"

static double
now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Lines of `line` octets with their LF; jitter makes their lengths hard to foresee. */
static void
fill(char *p, size_t n, size_t line, bool jitter, bool cr)
{
	size_t left = line;
	unsigned r = 1;

	memset(p, 'x', n);
	for (size_t i = 1; i < n; i++)
		if (--left == 0) {
			p[i] = '\n';
			if (cr)
				p[i - 1] = '\r';
			r = r * 1103515245 + 12345;
			left = jitter ? 2 + (r >> 8) % (2 * line) : line;
		}
	if (n > 2000 && line < 2000)
		memcpy(p + 1000, "\r\n\r\n", 4); /* a header of 1,000 octets */
}

/* Best of several runs, as GB/s of stored octets. */
static double
best(double (*run)(struct span, char *), struct span in, char *out)
{
	double most = 0;

	for (int i = 0; i < 40; i++) {
		double v = run(in, out);

		most = v > most ? v : most;
	}
	return most;
}

static double
convert(struct span in, char *out)
{
	double start = now_s();
	size_t used;

	for (int i = 0; i < 64; i++) {
		struct crlf c = {0};

		crlf_push(&c, in, out, 2 * in.n + 64, &used);
	}
	return 64 * (double)in.n / (now_s() - start) / 1e9;
}

static double
count(struct span in, char *out)
{
	double start = now_s();
	uint64_t sum = 0;

	(void)out;
	for (int i = 0; i < 64; i++) {
		struct wire_count c = {0};

		wire_count_push(&c, in);
		wire_count_end(&c);
		sum += c.wire;
	}
	if (sum == 0)
		errx(1, "nothing was counted");
	return 64 * (double)in.n / (now_s() - start) / 1e9;
}

int
main(void)
{
	static const struct {
		const char *what;
		size_t line;
		bool jitter, cr;
	} row[] = {
	    {"LF, 72 octets a line (base64)", 72, false, false},
	    {"LF, lines of 2 to 92 octets", 45, true, false},
	    {"CR LF, 72 octets a line", 72, false, true},
	    {"one line", SIZE_MAX, false, false},
	};
	struct span in = {.n = 128 * 1024}; /* fits the second-level cache, as in a reader */
	char *text = malloc(in.n), *out = malloc(2 * in.n + 64);

	if (text == NULL || out == NULL)
		err(1, "malloc");
	in.p = text;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		fill(text, in.n, row[i].line, row[i].jitter, row[i].cr);
		printf("%-32s convert %6.2f GB/s, count %6.2f GB/s\n", row[i].what,
		       best(convert, in, out), best(count, in, out));
	}
	free(text);
	free(out);
	return 0;
}
