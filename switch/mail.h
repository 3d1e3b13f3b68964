/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A worker's mailbox, from its side. What control puts into it: worker.h.
 */
#ifndef SW_MAIL_H
#define SW_MAIL_H

#include "switch/worker.h"

/* Does what the letters say: takes queues, lets them go, looks at them; and notices the end. Frees dead
 * queues, so none that was found before may be used after. Thread: the worker. */
void sw_mail_read(struct sw_worker *w);
/* Frees the queues whose letters nobody has read. Thread: control, the worker's thread has ended. */
void sw_mail_drop(struct sw_worker *w);

#endif
