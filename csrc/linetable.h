/* linetable: the line of an instruction, by the location table of its code object (co_linetable).
 *
 * CPython's own look-up also asks what tracing and monitoring tools have attached to the code
 * object, which may be in the making when we come.  The table alone never changes.
 *
 * The table is a list of entries, each for one or a few instructions in a row.  The first byte
 * of an entry, and no other, has its top bit set: then four bits of kind and three of length, in
 * code units less one.  What follows says by how many lines it is behind the entry before, and
 * in which columns.
 * Lock: none; plain reads, never beyond nbytes. */
#ifndef GA_LINETABLE_H
#define GA_LINETABLE_H

#include "base.h"

#define LINETABLE_NO_LINE (-1)

/* Of the instruction that is `unit` code units behind the first; LINETABLE_NO_LINE: it belongs
 * to none, or the table does not reach that far.  *nread: the answer depends on as many bytes of
 * the table (and on first_line) and on nothing else. */
int linetable_find(const uint8_t *table, size_t nbytes, int first_line, uint32_t unit,
                   size_t *nread);

#endif
