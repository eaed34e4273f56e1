/* date: whatever the text, within bounds; what IMAP's grammar takes prints as it was. */
#include "storage/mime/date.h"

#include "tests/fuzz/fuzz.h"

static void
prints_the_same(const struct date *d)
{
	char text[DATE_SIZE], again[DATE_SIZE];
	struct date back;

	date_print(d->when, d->zone, text);
	REQUIRE(strlen(text) == DATE_SIZE - 1);
	REQUIRE(date_time(span_of(text), &back));
	REQUIRE(back.zone == d->zone);
	date_print(back.when, back.zone, again);
	REQUIRE(strcmp(text, again) == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span in = {(const char *)data, size};
	struct date d;
	int32_t day;

	if (date_header(in, &d)) {
		REQUIRE(d.zone > -24 * 60 && d.zone < 24 * 60);
		REQUIRE(d.when - (int64_t)d.day * 86400 <= 86400 + 24 * 3600);
		prints_the_same(&d);
	}
	if (date_day(in, &day)) {
		char text[DATE_SIZE];
		int32_t back;

		REQUIRE(in.n >= 10 && in.n <= 11);
		date_print((int64_t)day * 86400, 0, text);
		REQUIRE(date_day((struct span){text, 11}, &back) && back == day);
	}
	if (date_time(in, &d)) {
		prints_the_same(&d);
		/* leap seconds are the next minute's first */
		REQUIRE(date_day_of(d.when, d.zone) - d.day <= 1);
		REQUIRE(date_day_of(d.when, d.zone) >= d.day);
	}
	if (in.n >= sizeof d.when) {
		memcpy(&d.when, in.p, sizeof d.when);
		d.zone = (int)(in.n % 2800) - 1399;
		prints_the_same(&d);
		date_day_of(d.when, d.zone);
	}
	return 0;
}
