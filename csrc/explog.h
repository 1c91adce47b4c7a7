/* explog: the logarithm and the exponential that sampling needs.
 *
 * Not those of <math.h>: the first sample would make pages of the C library's code and tables
 * resident, more than all of the profile takes in a small program.  The relative error is below
 * 1e-13.
 * Lock: none; nothing is kept. */
#ifndef GA_EXPLOG_H
#define GA_EXPLOG_H

/* The natural logarithm of x, normal and above 0. */
double natural_log(double x);
/* 1 - e^-x, for x of 0 and more. */
double one_minus_exp(double x);

#endif
