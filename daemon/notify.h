/* SPDX-License-Identifier: BSD-3-Clause */
/* Telling the service manager, when there is one ($NOTIFY_SOCKET; sd_notify(3)). */
#ifndef VIA_DAEMON_NOTIFY_H
#define VIA_DAEMON_NOTIFY_H

/* Sends 'state', such as "READY=1". Does nothing when nobody wants to know. */
void notify(const char *state);

#endif
