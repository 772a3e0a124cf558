/* SPDX-License-Identifier: ISC
 *
 * Base subjects (RFC 5256 2.1): what is left of a subject without "Re:", "Fwd:", "[list]" and "(fwd)", for threading
 * and sorting. Total.
 */
#ifndef WP_MSG_SUBJECT_H
#define WP_MSG_SUBJECT_H

#include "base/buf.h"
#include "base/span.h"

/* decoded: the subject as UTF-8 (encword_decode). Appends its base, case as it stands: compare it with span_icmp. True
 * when it was a reply's or a forward's. */
bool subject_base(struct span decoded, struct buf *out);

#endif
