#include "tests/unit/support/crlf_plain.h"

#define CRLF_PLAIN
#define crlf_push	plain_crlf_push
#define crlf_end	plain_crlf_end
#define crlf_skip	plain_crlf_skip
#define wire_count_push plain_wire_count_push
#define wire_count_end	plain_wire_count_end

#include "storage/crlf.c"
