#include "protocol/pop3/capa.h"

#include "protocol/mech.h"

/*
 * UTF8 without the argument USER: names and passwords are compared as octets, without
 * SASLprep (RFC 6856 section 2.2).
 */
static const char before_user[] = "+OK Capability list follows\r\n"
                                  "TOP\r\n"
                                  "UIDL\r\n"
                                  "RESP-CODES\r\n"
                                  "AUTH-RESP-CODE\r\n"
                                  "PIPELINING\r\n"
                                  "UTF8\r\n"
                                  "LANG\r\n"
                                  "EXPIRE NEVER\r\n"
                                  "IMPLEMENTATION mailtree\r\n";

int
capa_reply(bool user, bool stls, unsigned mechs, struct buf *out)
{
	if (buf_add(out, span_of(before_user)) == -1 ||
	    (stls && buf_add(out, SPAN("STLS\r\n")) == -1) ||
	    (mechs != 0 &&
	     (buf_add(out, SPAN("SASL")) == -1 || mech_list(mechs, " ", out) == -1 ||
	      buf_add(out, SPAN("\r\n")) == -1)))
		return -1;
	return buf_add(out, user ? SPAN("USER\r\n.\r\n") : SPAN(".\r\n"));
}
