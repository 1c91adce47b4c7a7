/* report: MemStats and the busiest classes as text, in C, for when Python is gone already. */
#ifndef GA_REPORT_H
#define GA_REPORT_H

#include "inspect.h"

/* Writes the report to a file descriptor. */
void report_write(struct mheap *h, int fd);

#endif
