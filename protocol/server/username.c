#include "protocol/server/username.h"

bool
username_valid(struct span s)
{
	if (s.n == 0 || s.n > USERNAME_MAX)
		return false;
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (c <= ' ' || c == 0x7f || c == '/')
			return false;
		if (c == '.' && (i == 0 || s.p[i - 1] == '@'))
			return false;
	}
	return true;
}
