/* background: the thread that runs the scavenger of the process heap.
 *
 * It starts when something has been freed and ends when there is nothing left to do, so a program
 * that only sits there has none, nor has one that is over in a moment and stays small, or has no
 * other thread and stays small, unless it has set a delay or a limit.  It holds nothing of Python,
 * blocks all signals, and takes the locks of the heap for moments only.  Pacing: it sleeps so long
 * after each step that it takes GA_SCAVENGE_PERCENT of the time, or GA_SCAVENGE_PERCENT_IDLE while
 * the process does nothing else.
 *
 * Fork: before one it is ended and waited for, since a child has no other threads, and since
 * CPython counts threads to warn of forks beside them.  It starts again with what is freed next.
 * Lock: background.lock, a leaf; held while the thread is started, never while it works. */
#ifndef GA_BACKGROUND_H
#define GA_BACKGROUND_H

#include "scavenger.h"

/* From now on h is scavenged in the background, also if it is small and alone where that was asked
 * for.  One heap in a process. */
void background_init(struct mheap *h, bool asked_for);
/* Ends the thread, if there is one, and waits until it is gone.  None is started from here on until
 * a moment after background_forked, which parent and child call. */
void background_fork(void);
void background_forked(bool child);
/* The settings have changed: the thread looks at them now. */
void background_poke(void);

#endif
