#include "protocol/pop3/command.h"

bool
command_cut(struct span line, struct span *verb, struct span *arg)
{
	for (size_t i = 0; i < line.n; i++)
		if (line.p[i] == '\0' || line.p[i] == '\r' || line.p[i] == '\n')
			return false;
	*arg = line;
	if (!span_cut(arg, ' ', verb))
		*verb = (struct span){line.p, 0};
	return true;
}

bool
command_arg(enum arity arity, struct span *arg)
{
	if (arity != ARG_REST)
		*arg = span_trim(*arg);
	switch (arity) {
	case ARG_NONE:
		return arg->n == 0;
	case ARG_MAYBE:
		return true;
	case ARG_MUST:
	case ARG_REST:
		return arg->n > 0;
	}
	return false;
}
